"""Reading an experiment where it is: whole traces, a few at a time, files, and the dataset's examples."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from langsmith import Client

from evalrunner.errors import RunBroken
from evalrunner.service.paging import PAGE, portions
from evalrunner.transfer.push.transform import Files
from evalrunner.transfer.remote.asking import Asking, RefusedError
from evalrunner.transfer.remote.calls import ASK, rows
from evalrunner.transfer.remote.reads import Reads, Run
from evalrunner.transfer.upload.rewrite import Raws

_PREFIX = "attachment."
_page = msgspec.json.Decoder(list[Raws])


@dataclass(frozen=True)
class Trace:
    """One trace with all that it says: its runs, parents before children, and their feedback, by its runs' ids."""

    id: str
    runs: list[Run]
    feedback: list[tuple[str, Raws]]


class Source:
    """One experiment, read; values are the bytes that came.

    Its methods raise RunBroken where the experiment cannot be read.
    """

    def __init__(self, asking: Asking, experiment: str) -> None:
        self._asking, self._experiment = asking, experiment
        self._reads = Reads(asking, experiment, newer=False)

    def traces(self, trace_ids: Sequence[str], rated: Container[str]) -> list[Trace]:
        """Return whole traces, all of which are in memory then.

        Args:
            rated: the runs that have feedback.
        """
        found = {trace: Trace(trace, [], []) for trace in trace_ids}
        owner: dict[str, str] = {}
        try:
            for run in self._reads.traces(trace_ids):
                found[run.trace_id].runs.append(run)
                owner[run.id] = run.trace_id
            for some in portions([run for run in owner if run in rated], ASK):
                for row in self._feedback({"run": list(some)}):
                    of = msgspec.json.decode(row["run_id"], type=str)
                    found[owner[of]].feedback.append((of, row))
        except (RefusedError, msgspec.MsgspecError) as error:
            raise RunBroken(f"the experiment cannot be read here: {error}") from None
        for trace in found.values():
            trace.runs.sort(key=lambda run: str(run.dotted_order))
        return list(found.values())

    def own_feedback(self) -> list[Raws]:
        """Return the feedback of the experiment itself."""
        try:
            return list(self._feedback({"session": [self._experiment], "level": "session"}))
        except (RefusedError, msgspec.MsgspecError) as error:
            raise RunBroken(f"the experiment's own feedback cannot be read here: {error}") from None

    def _feedback(self, params: dict[str, Any]) -> Iterator[Raws]:
        offset = 0
        while True:
            page = _page.decode(self._asking.get("/feedback", {**params, "limit": PAGE, "offset": offset}))
            yield from page
            if len(page) < PAGE:
                return
            offset += len(page)

    def files(self, urls: dict[str, Any] | None) -> Files:
        """Fetch attachments."""
        return {
            name.removeprefix(_PREFIX): (entry["mime_type"], self._fetch(name, entry["presigned_url"]))
            for name, entry in (urls or {}).items()
            if name.startswith(_PREFIX)
        }

    def _fetch(self, name: str, url: str) -> bytes:
        try:
            data, _ = self._asking.file(url)
        except RefusedError as error:
            raise RunBroken(f"{name} of the experiment cannot be read here: {error}") from None
        with data:
            return data.read()


def examples(client: Client, dataset_id: str, as_of: str | None) -> Iterator[list[dict[str, Any]]]:
    """Return a dataset's examples as of a version, page by page."""
    params: dict[str, Any] = {"dataset": dataset_id, "select": ["attachment_urls"]}
    if as_of:
        params["as_of"] = as_of
    page: list[dict[str, Any]] = []
    for row in rows(client, "/examples", params):
        page.append(row)
        if len(page) == ASK:
            yield page
            page = []
    if page:
        yield page
