"""Sending traces: built into a spool, and sent from there by the sender that workers use.

What lies in a spool of an earlier push is not built again; what the ledger has as accepted is not sent again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from pathlib import Path

from evalrunner.clock import SYSTEM
from evalrunner.delivery.capture.traces import Operation
from evalrunner.delivery.sending.sender import Sender
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.delivery.spool.record import Header, encode_parts
from evalrunner.delivery.spool.writer import Entry, SpoolWriter, read, read_body
from evalrunner.errors import RunBroken, SpoolError
from evalrunner.upload.source import Index, Source, Trace
from evalrunner.upload.state import Accepted, PushFolder
from evalrunner.upload.transform import Rewriting

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
        refused: what it did not take: id -> why.
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
        self._folder, self._accepted = folder, accepted
        self._new_transport, self._compress = new_transport, compress
        self._deadline, self._note = deadline, note
        self._senders: list[tuple[Sender, int]] = []
        self.known = accepted.ids()
        self.sent: dict[str, int] = {"traces": 0, "runs": 0, "feedback": 0}
        self.refused: dict[str, str] = {}
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
                self._sender(path, spool.boundary).offer(left)

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
        writer = SpoolWriter(path, info={}, on_durable=self._offer, on_error=troubles.append)
        sender = self._sender(path, writer.boundary)
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
                self._breathe(writer, sender)
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

    @staticmethod
    def _breathe(writer: SpoolWriter, sender: Sender) -> None:
        """Let the sender catch up: headers of records are in memory until they are sent."""
        if sender.pending > _AHEAD:
            writer.sync(60)
            sender.wait_idle(60)

    def _offer(self, entries: list[Entry]) -> None:
        """Send what has become durable in the newest spool."""
        self._senders[-1][0].offer(entries)

    def _sender(self, path: Path, boundary: str) -> Sender:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        sender = Sender(
            self._new_transport(),
            lambda entry: read_body(fd, entry),
            boundary,
            on_accepted=self._on_accepted,
            on_refused=self._on_refused,
            on_note=self._note,
            compress=self._compress,
            deadline=self._deadline,
        )
        self._senders.append((sender, fd))
        return sender

    def finish(self) -> None:
        """Wait until every record was accepted or refused."""
        for sender, _ in self._senders:
            sender.flush()
            sender.wait_idle()

    def close(self) -> None:
        """Stop; what is unsent stays in its spool, and a request that hangs is not waited for."""
        for sender, fd in self._senders:
            if sender.stop(_FAREWELL):
                os.close(fd)
        self._senders.clear()

    def _on_accepted(self, entries: list[Entry]) -> None:
        ops = [op for entry in entries for op in entry.header.ops]
        self._accepted.add(op.id for op in ops)
        scores = sum(op.kind == "feedback" for op in ops)
        for name, count in (("traces", len(entries)), ("runs", len(ops) - scores), ("feedback", scores)):
            self.sent[name] += count

    def _on_refused(self, entry: Entry, why: str) -> None:
        self.refused.update((op.id, why) for op in entry.header.ops)
