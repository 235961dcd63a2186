"""Uploading recorded traces: files read once, ids and times made anew, sent, read back by id.

    files ── scan ──> index (runs, traces, what is broken) ── shift ──> project there
    index ── plan ──> operations, built from the files again ── outbox ──> read back ──> summary

The same command goes on after whatever ended it, and adds nothing where all is there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
from langsmith import Client

from evalrunner.clock import SYSTEM
from evalrunner.config import Endpoint
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.errors import ConfigError, DataError, RunBroken, ServiceError
from evalrunner.service.capabilities import only_newer_reads, size_limit, takes_multipart, takes_zstd
from evalrunner.service.client import make_client
from evalrunner.service.errors import host, told
from evalrunner.service.preflight import check
from evalrunner.transfer.files.inputs import Inputs
from evalrunner.transfer.remote.asking import Asking, RefusedError
from evalrunner.transfer.remote.reads import Reads
from evalrunner.transfer.upload import failed
from evalrunner.transfer.upload.confirm import Confirmer
from evalrunner.transfer.upload.dispatch import Dispatch
from evalrunner.transfer.upload.dry import estimate
from evalrunner.transfer.upload.folder import FAILED, INDEX, opened, scanning
from evalrunner.transfer.upload.index import BROKEN, SOUND, UNSENT, Index, State, writing
from evalrunner.transfer.upload.outbox import Outbox
from evalrunner.transfer.upload.plan import Plan
from evalrunner.transfer.upload.project import Project, choose_shift, early, find, make
from evalrunner.transfer.upload.scan import ends_early, examples, extent, scan, unended
from evalrunner.transfer.upload.shift import Shift, spelt
from evalrunner.transfer.upload.summary import Hole, Uploaded, UploadOptions
from evalrunner.transfer.upload.there import Destination
from evalrunner.transfer.upload.verify import Comparison
from evalrunner.verify import transfers
from evalrunner.verify.codes import Finding

_NOBODY = "0" * 8 + "-0000-0000-0000-" + "0" * 12


def upload(endpoint: Endpoint, options: UploadOptions, note: Callable[[str], None]) -> Uploaded:
    """Upload files of recorded traces into a project.

    Args:
        note: takes what holds things up and how far it is, for people; called on several threads.

    Raises:
        UsageError: something cannot be done as it was asked for; nothing was sent.
        RunBroken: it had to end in the middle; the same command goes on.
    """
    if not options.project.strip():  # a service answers for no name with whatever project comes first
        raise ConfigError("the project has no name: where are the traces to go?")
    if options.failed is not None:
        failed.refuse_foreign(options.failed, options.paths)
    client = make_client(endpoint)
    info = check(client).model_dump(mode="json")
    if not takes_multipart(info):
        raise ServiceError(f"LangSmith at {host(endpoint.url)} does not take POST /runs/multipart; update it")
    with scanning(options.root) as scratch, Inputs(options.paths, scratch) as inputs:
        scan(inputs, scratch / INDEX, size_limit(info), note)
        with opened(options.root, endpoint, options.project, inputs.fingerprint, scratch) as (folder, index):
            job = _Upload(client, endpoint, options, note, info, inputs, index, folder)
            with writing(index.path, begun=True):
                return job.carry_out()


class _Upload:
    """One upload, step by step."""

    def __init__(
        self,
        client: Client,
        endpoint: Endpoint,
        options: UploadOptions,
        note: Callable[[str], None],
        info: dict[str, object],
        inputs: Inputs,
        index: Index,
        folder: Path,
    ) -> None:
        self._client, self._endpoint, self._options, self._note = client, endpoint, options, note
        self._info, self._inputs, self._index = info, inputs, index
        self._failed = options.failed or folder / FAILED
        self._findings: list[Finding] = []

    def carry_out(self) -> Uploaded:
        """Do it."""
        broken = list(self._holes(BROKEN))
        written = self._write_failed()
        self._refuse_broken(broken)
        with told(self._client):
            project = find(self._client, self._options.project)
        shift = self._shift(project)
        summary = self._summary(project, shift, broken)
        summary.failed = str(self._failed) if written else None
        if self._options.dry_run:
            plan = Plan(self._inputs, self._index, project.id or _NOBODY, project.name, shift)
            summary.estimate = estimate(plan)
            return summary
        if not summary.total["traces"]:
            return summary
        known = project.shift is not None
        with told(self._client):
            project = make(self._client, project, shift)
        assert project.id is not None, "it has been made"
        summary.project["id"] = project.id
        self._deliver(Plan(self._inputs, self._index, project.id, project.name, shift), summary, known)
        return summary

    def _refuse_broken(self, broken: list[Hole]) -> None:
        if not broken or self._options.on_error == "skip" or self._options.dry_run:
            return
        sound = self._index.count(SOUND)[0]
        first = broken[0]
        raise DataError(
            f"{len(broken):,} of {len(broken) + sound:,} traces cannot be uploaded (first: trace {first.trace_id!r}, "
            f"{_place(first)}: {first.reason}), and nothing was sent; they are in {self._failed} with their reasons; "
            f"--on-error skip uploads the other {sound:,}"
        )

    def _write_failed(self) -> int:
        condition = f"{BROKEN} OR state = {int(State.REFUSED)}"
        try:
            return failed.write(self._failed, self._index, self._inputs, self._index.trees(condition))
        except OSError as error:
            raise DataError(f"{self._failed} cannot be written: {error.strerror}") from None

    def _shift(self, project: Project) -> Shift:
        times = extent(self._index)
        if times is None:
            return project.shift or Shift("none")
        now = _micros()
        shift = choose_shift(project, self._options.shift, times, now)
        if found := early(shift, times, now):
            self._findings.append(found)
        if ends_early(self._index):
            self._findings.append(transfers.input_cut_off())
        if named := examples(self._index):
            self._findings.append(transfers.examples_left_out(named))
        if opened := unended(self._index):
            self._findings.append(transfers.runs_open_in_input(opened))
        return shift

    def _summary(self, project: Project, shift: Shift, broken: list[Hole]) -> Uploaded:
        traces, runs, size = self._index.count(SOUND)
        return Uploaded(
            project={"id": project.id, "name": project.name},
            destination=host(self._endpoint.url),
            dry_run=self._options.dry_run,
            verify=self._options.verify,
            shift=_said(shift),
            total={"traces": traces, "runs": runs, "bytes": size},
            broken=broken,
            findings=self._findings,
        )

    def _deliver(self, plan: Plan, summary: Uploaded, known: bool) -> None:
        there = Destination(self._client, plan.project, newer=only_newer_reads(self._info))
        confirmer = Confirmer(self._index, plan, there)
        dispatch = Dispatch(self._index, plan, confirmer, self._note)
        with told(self._client):
            summary.already = dispatch.look_for_known(known)
        with contextlib.closing(self._outbox()) as outbox:
            dispatch.send(outbox)
        summary.sent = {"traces": dispatch.accepted, **outbox.sent}
        if self._options.verify != "none":
            dispatch.tell_confirming()
            confirmer.wait(self._options.visible_deadline, dispatch.tell_confirming)
            summary.confirmed = self._index.count("state = ?", int(State.SEEN))[0]
        if self._options.verify == "content":
            try:
                summary.different = list(self._comparison(plan, dispatch).different())
            except (RefusedError, msgspec.MsgspecError) as error:
                raise RunBroken(
                    f"what is there could not be compared with the input: {error}; "
                    f"{summary.confirmed:,} of {summary.total['traces']:,} traces were read back by id"
                ) from None
        self._account(summary, confirmer)

    def _comparison(self, plan: Plan, dispatch: Dispatch) -> Comparison:
        asking = Asking(
            make_client(self._endpoint, retries=0), deadline=self._options.delivery_deadline, note=self._note
        )
        reads = Reads(asking, plan.project, newer=only_newer_reads(self._info))
        return Comparison(plan, asking, reads, self._hole, dispatch.tell_comparing)

    def _outbox(self) -> Outbox:
        to = self._endpoint
        return Outbox(
            lambda: HttpTransport(to.url, to.key, workspace=to.workspace),
            compress=takes_zstd(self._info),
            deadline=self._options.delivery_deadline,
            note=self._note,
        )

    def _account(self, summary: Uploaded, confirmer: Confirmer) -> None:
        summary.not_delivered = list(self._holes(f"({UNSENT}) OR state = {int(State.REFUSED)}"))
        if self._options.verify != "none":
            summary.not_visible = [
                replace(hole, reason=confirmer.missing.get(n) or confirmer.trouble or hole.reason)
                for n, hole in self._numbered(f"{SOUND} AND state = {int(State.ACCEPTED)}")
            ]
        if self._write_failed():
            summary.failed = str(self._failed)

    def _holes(self, condition: str) -> Iterator[Hole]:
        return (hole for _, hole in self._numbered(condition))

    def _numbered(self, condition: str) -> Iterator[tuple[int, Hole]]:
        for tree in self._index.trees(condition):
            yield tree.n, self._hole(tree.n, tree.fault or tree.reason or "it was not sent")

    def _hole(self, n: int, reason: str) -> Hole:
        tree = next(self._index.trees("n = ?", n))
        return Hole(tree.key, failed.where(self._index, self._inputs, tree), reason)


def _micros() -> int:
    return int(SYSTEM.utcnow().timestamp() * 1_000_000)


def _place(hole: Hole) -> str:
    line = hole.where["line"]
    return f"{hole.where['file']}, " + (f"line {line}" if line else f"byte {hole.where['offset']:,}")


def _said(shift: Shift) -> str:
    if shift.mode == "trace":
        return "each trace by its own constant"
    moved = shift.constant or 0
    return f"{'-' if moved < 0 else '+'}{spelt(moved)}" if moved else "not at all"
