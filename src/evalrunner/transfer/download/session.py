"""Downloading a project: first what there is, then each run with all that it says, then what has changed meanwhile.

    index (ids, times) ──> feedback ──> runs by id, in the order of the file ──> lines
                                                     └──> index again: appeared, changed, vanished

Memory holds one answer of the service, whatever the size of the project or of a trace.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
from langsmith import Client

from evalrunner.config import Endpoint
from evalrunner.errors import RunBroken, ServiceError
from evalrunner.service.capabilities import only_newer_reads
from evalrunner.service.client import find_project, make_client
from evalrunner.service.errors import host
from evalrunner.service.paging import PAGE, portions
from evalrunner.service.preflight import check
from evalrunner.shortage import shortage
from evalrunner.transfer.download.form import line
from evalrunner.transfer.download.index import Index
from evalrunner.transfer.download.progress import Progress
from evalrunner.transfer.download.summary import Downloaded, DownloadOptions, remarks
from evalrunner.transfer.download.target import Sink, opened, refuse_existing
from evalrunner.transfer.remote import contents
from evalrunner.transfer.remote.asking import Asking, RefusedError
from evalrunner.transfer.remote.reads import Reads, Run
from evalrunner.verify import transfers

#: Runs that are asked for at once: at first, and the bytes of an answer that more are worth.
_FIRST, _BYTES = 16, 4 << 20
#: Runs whose feedback is asked for at once: their ids ride in the address.
_ASK = 50


def download(endpoint: Endpoint, options: DownloadOptions, note: Callable[[str], None]) -> Downloaded:
    """Write a project or an experiment into a file that `evalrunner upload` reads.

    Args:
        note: takes how far it is and what holds things up, for people.

    Raises:
        UsageError: something that was asked for cannot be done; nothing was written.
        RunBroken: the service or the disk failed in the middle; there is no file.
    """
    refuse_existing(options.file, force=options.force)
    client = make_client(endpoint)
    info = check(client).model_dump(mode="json")
    named = options.experiment or str(options.project)
    project = find_project(client, named, experiment=options.experiment is not None)
    # It asks again by itself, and must be asked once each time.
    asking = Asking(make_client(endpoint, retries=0), deadline=options.read_deadline, note=note)
    reads = Reads(asking, str(project.id), newer=only_newer_reads(info), matching=options.filter)
    done = Downloaded(
        {"id": str(project.id), "name": str(project.name)},
        host(client.api_url),
        "-" if options.file is None else str(options.file),
        options.filter,
    )
    with _told(client, options):
        with contextlib.closing(Index()) as index:
            _Download(asking, reads, index, done, Progress(note)).carry_out(options)
    return done


@contextlib.contextmanager
def _told(client: Client, options: DownloadOptions) -> Iterator[None]:
    """Turn what ends a download in the middle into one sentence; no file has its name then."""
    place = "stdout" if options.file is None else str(options.file)
    holds = f"{place} is not whole" if options.file is None else f"{place} was not written"
    try:
        yield
    except RunBroken as error:
        raise RunBroken(f"{error}; {holds}") from None
    except RefusedError as error:
        raise RunBroken(f"the download cannot go on: {error}; {holds}") from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        where = host(client.api_url)
        raise RunBroken(f"{where} answers what cannot be read as LangSmith's ({error}); {holds}") from None
    except (OSError, sqlite3.Error) as error:
        found = shortage(error, _folder(options, error))
        raise RunBroken(f"{place} cannot be written: {found.cause}; {found.remedy}") from error


def _folder(options: DownloadOptions, error: Exception) -> Path:
    if isinstance(error, sqlite3.Error) or options.file is None:
        return Path(tempfile.gettempdir())
    return options.file.absolute().parent


class _Download:
    """One download, step by step."""

    def __init__(
        self, asking: Asking, reads: Reads, index: Index, done: Downloaded, progress: Progress
    ) -> None:
        self._asking, self._reads, self._index = asking, reads, index
        self._done, self._progress = done, progress
        self._absent: list[str] = []

    def carry_out(self, options: DownloadOptions) -> None:
        """Do all of it."""
        self._list(options)
        with opened(options.file, force=options.force) as sink:
            self._write(sink)
            self._look_again()
        self._done.findings += remarks(self._done)

    def _list(self, options: DownloadOptions) -> None:
        pages = self._reads.rows()
        try:
            first = next(pages, [])
        except RefusedError as error:
            what = f"the filter {options.filter!r}" if options.filter else "this project's runs"
            raise ServiceError(f"LangSmith does not answer for {what}: {error}") from None
        self._index.add(first)
        seen = len(first)
        for page in pages:
            self._index.add(page)
            seen += len(page)
            self._progress.listing(seen)
        self._done.runs, self._done.traces = self._index.counts()
        if options.filter is None:
            self._take_feedback(None)

    def _take_feedback(self, runs: Sequence[str] | None) -> None:
        for page in self._reads.feedback(runs):
            self._done.left_out += sum(row.run_id is None for row in page)
            self._index.add_feedback(row for row in page if row.run_id is not None)

    def _write(self, sink: Sink) -> None:
        total = self._done.runs
        self._done.runs = 0
        size, ids = _FIRST, self._index.ordered()
        while some := list(islice(ids, size)):
            if self._done.filter is not None:
                for portion in portions(some, _ASK):
                    self._take_feedback(portion)
            found, length = self._given(some)
            for run in some:
                if run in found:
                    self._write_run(sink, found.pop(run))  # what is written need not be held
                else:
                    self._absent.append(run)
            self._progress.writing(self._done, total)
            # Runs may be large: an answer is to hold some megabytes, and no more.
            size = max(1, min(PAGE, 2 * size if length < _BYTES else size * _BYTES // length))

    def _given(self, ids: Sequence[str]) -> tuple[dict[str, Run], int]:
        found, length = self._reads.runs(ids)
        if absent := [run for run in ids if run not in found]:
            again, more = self._reads.runs(absent)  # a reader that lags behind may have it by now
            found, length = found | again, length + more
        return found, length

    def _write_run(self, sink: Sink, run: Run) -> None:
        def missing(kind: str, name: str, reason: str) -> None:
            self._done.missing.append({"kind": kind, "run": run.id, "name": name, "reason": reason})

        feedback = self._index.feedback(run.id)
        apart = contents.values(self._asking, run, missing)
        attached = self._counted(contents.attachments(self._asking, run, missing))
        for piece in line(run, apart, attached, feedback):
            sink.write(piece)
            self._done.bytes += len(piece)
        self._index.written(run)
        self._done.runs += 1
        self._done.feedback += len(feedback)
        self._done.open_runs += run.end_time is None

    def _counted(self, attached: Iterator[contents.Attachment]) -> Iterator[contents.Attachment]:
        for one in attached:
            self._done.attachments += 1
            yield one

    def _look_again(self) -> None:
        """Compare with what the service has now: a project that is in use changes while it is read."""
        try:
            for number, page in enumerate(self._reads.rows()):
                self._index.add_later(page)
                self._progress.comparing(number * PAGE, self._done.runs)
        except (
            RunBroken,
            RefusedError,
            msgspec.DecodeError,
        ) as error:  # what was written is whole nevertheless
            self._done.compared = False
            self._done.findings.append(transfers.changes_unseen(error))
        else:
            self._done.appeared, self._done.changed = self._index.drift()
        for run in self._absent:
            if self._done.compared and not self._index.there_later(run):
                self._done.vanished += 1
            else:
                reason = "the service listed it and does not give it"
                self._done.missing.append({"kind": "run", "run": run, "name": "", "reason": reason})
