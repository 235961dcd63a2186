"""Sending traces: built into a spool, and sent from there by the sender that workers use.

What lies in a spool of an earlier push is not built again; what the ledger has as accepted is not sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from evalrunner.clock import SYSTEM
from evalrunner.delivery.capture.traces import Operation
from evalrunner.delivery.sending.spools import Spool, SpoolSender
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.delivery.spool.record import Header, encode_parts
from evalrunner.delivery.spool.writer import Entry, SpoolWriter, read
from evalrunner.errors import RunBroken, SpoolError
from evalrunner.transfer.push.source import Index, Source, Trace
from evalrunner.transfer.push.state import Accepted, PushFolder
from evalrunner.transfer.push.transform import Rewriting

#: Records that may wait in the sender before the reading of further traces pauses.
_AHEAD = 400
#: Seconds that a request under way has when the push ends before its time.
_FAREWELL = 2.0
#: Seconds between two words about how far it is.
_TELL_EVERY = 5.0


class Dispatch:
    """Sends the records of a push, and books what becomes of each.

    Attributes:
        sent: records, runs and scores that the destination accepted from this push.
        refusals: what it did not take: id -> why.
        foreign: how many runs of the traces are no part of what is pushed.
    """

    def __init__(
        self,
        folder: PushFolder,
        accepted: Accepted,
        new_transport: Callable[[], HttpTransport],
        *,
        compress: bool,
        deadline: float,
        note: Callable[[str], None],
    ) -> None:
        self._folder, self._accepted, self._note = folder, accepted, note
        self._sender = SpoolSender(new_transport, compress=compress, deadline=deadline, note=note)
        self.known = accepted.ids()
        self.sent: dict[str, int] = {"traces": 0, "runs": 0, "feedback": 0}
        self.refusals: dict[str, str] = {}
        self.foreign = 0
        self._ended: set[str] = set()

    def resume(self) -> None:
        """Send on what earlier pushes left in their spools."""
        booked = self._accepted.ids()
        for path in self._folder.spools():
            spool = read(path)
            left = [one for one in spool.entries if not all(op.id in booked for op in one.header.ops)]
            self.known.update(op.id for one in spool.entries for op in one.header.ops)
            if left:
                self._sender.offer(Spool(path, spool.boundary, self), left)

    def build(self, source: Source, index: Index, to: Rewriting, open_there: Container[str]) -> None:
        """Build and send what neither the ledger nor a spool knows, and the end of what has ended since.

        Args:
            open_there: runs of the copy that the destination shows without an end.

        Raises:
            RunBroken: the disk is full, or cannot be written.
        """
        self._ended = {one for run in index.runs - index.open if (one := to.id(run)) in open_there}
        self.known -= self._ended
        wanted = [trace for trace in index.traces if self._lacking(index, trace, to)]
        try:
            if wanted:
                self._build(source, index, to, wanted)
        except SpoolError as error:
            raise RunBroken(f"the push cannot go on: {error}; free some space and push again") from error

    def _build(self, source: Source, index: Index, to: Rewriting, wanted: list[str]) -> None:
        path, troubles = self._folder.new_spool(), list[Exception]()
        writer = SpoolWriter(
            path,
            info={},
            # It makes nothing durable before the first record is appended, below.
            on_durable=lambda entries: self._sender.offer(spool, entries),
            on_error=troubles.append,
        )
        spool = Spool(path, writer.boundary, self)
        told = SYSTEM.monotonic()
        try:
            for number, trace in enumerate(source.traces(wanted, index.feedback)):
                if SYSTEM.monotonic() - told >= _TELL_EVERY:
                    told = SYSTEM.monotonic()
                    self._note(
                        f"{number:,} of {len(wanted):,} traces read here, {self.sent['traces']:,} sent"
                    )
                operations = self._operations(source, index, to, trace)
                ops, body = encode_parts(writer.boundary, operations)
                writer.append(Header(None, None, {"trace": trace.id}, ops), body)
                self._breathe(writer)
        finally:
            writer.close()
        if troubles:
            raise SpoolError(f"the spool {path} cannot be written: {troubles[0]}")

    def _lacking(self, index: Index, trace: str, to: Rewriting) -> bool:
        ids = [*index.traces[trace], *index.feedback.get(trace, ())]
        return any(to.id(one) not in self.known for one in ids)

    def _operations(self, source: Source, index: Index, to: Rewriting, trace: Trace) -> list[Operation]:
        project = index.projects.get(trace.id)
        ours = [run for run in trace.runs if run["id"] in to.known]
        self.foreign += len(trace.runs) - len(ours)
        made = [
            to.run(
                run,
                project,
                source.files(run.get("s3_urls")),
                "patch" if to.id(run["id"]) in self._ended else "post",
            )
            for run in ours
            if to.id(run["id"]) not in self.known
        ]
        rows = [row for row in trace.feedback if row["run_id"] in to.known]
        fresh = [row for row in rows if to.id(row["id"]) not in self.known]
        return made + [to.feedback_operation(row, trace.id) for row in fresh]

    def _breathe(self, writer: SpoolWriter) -> None:
        """Let the sender catch up: headers of records are in memory until they are sent."""
        if self._sender.pending > _AHEAD:
            writer.sync(60)
            self._sender.wait_idle(60)

    def finish(self) -> None:
        """Wait until every record was accepted or refused."""
        self._sender.flush()
        self._sender.wait_idle()

    def close(self) -> None:
        """Stop; what is unsent stays in its spool, and a request that hangs is not waited for."""
        self._sender.stop(_FAREWELL)

    def accepted(self, entries: list[Entry]) -> None:
        """Book what the destination has taken (`RecordListener`)."""
        ops = [op for entry in entries for op in entry.header.ops]
        self._accepted.add(op.id for op in ops)
        scores = sum(op.kind == "feedback" for op in ops)
        for name, count in (("traces", len(entries)), ("runs", len(ops) - scores), ("feedback", scores)):
            self.sent[name] += count

    def refused(self, entry: Entry, reason: str) -> None:
        """Remember what it has not, and why."""
        self.refusals.update((op.id, reason) for op in entry.header.ops)
