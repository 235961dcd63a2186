"""Sending traces that are built as they are needed: a few in memory, several requests under way, one limit.

There is no spool: the input is on the disk, and what is made of it is the same every time. If the process dies,
what was under way is asked for at the destination and built again.
"""

from __future__ import annotations

import itertools
import queue
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from evalrunner.delivery.sending.exchange import Transport
from evalrunner.delivery.sending.sender import Sender
from evalrunner.delivery.spool.record import Encoded, Header, Op
from evalrunner.delivery.spool.writer import Entry
from evalrunner.transfer.upload.gate import Gate, Gated

#: Of one record, and of all that are in memory; a single run may be larger.
RECORD_BYTES, RECORD_OPS, AHEAD_BYTES = 1 << 20, 200, 24 << 20
#: Of records that are given to a line at once: each time it wakes, and takes the interpreter from whoever builds.
HANDED_BYTES = 1 << 18
#: Requests under way at a time.
LINES = 3
#: Bytes of a request, unpacked.
BATCH_BYTES = 4 << 20
_FAREWELL = 2.0


@dataclass
class _Progress:
    """Records of a trace that are under way."""

    left: int = 0
    sealed: bool = False
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Settled:
    """What has become of a trace: taken, or not, and why."""

    tree: int
    refused: str | None


class Outbox:
    """Sends the operations of traces, and says what became of each trace. One thread puts, the lines answer.

    `boundary` is that of its requests.

    Args:
        note: takes what holds things up; called on the threads of the lines.
        deadline: seconds without any success after which what is under way is refused; the time for which
            the service asks to be left alone does not count.
    """

    def __init__(
        self,
        new_transport: Callable[[], Transport],
        *,
        compress: bool,
        deadline: float,
        note: Callable[[str], None],
    ) -> None:
        self.boundary = f"evalrunner-{secrets.token_hex(16)}"
        self._note = note
        self._numbers = itertools.count(1)
        self._bodies: dict[int, bytes] = {}
        self._held = 0
        self._ready: list[Entry] = []
        self._ready_bytes = 0
        self._trees: dict[int, _Progress] = {}
        self._room = threading.Condition()
        self._settled: queue.SimpleQueue[Settled] = queue.SimpleQueue()
        self.sent = {"runs": 0, "feedback": 0, "bytes": 0}
        self._gate = Gate()
        self._lines = [
            Sender(
                Gated(new_transport(), self._gate),
                self._body,
                self.boundary,
                self,
                compress=compress,
                deadline=deadline,
                max_batch_bytes=BATCH_BYTES,
                patient=True,
            )
            for _ in range(LINES)
        ]

    def put(self, tree: int, operations: Iterable[Encoded]) -> None:
        """Send a trace, in as many records as it takes; wait while there is no room.

        Args:
            operations: encoded with our boundary.
        """
        progress = self._trees.setdefault(tree, _Progress())
        for some in _portions(operations):
            self._offer(tree, progress, some)
        with self._room:
            progress.sealed = True
            self._conclude(tree, progress)

    def _offer(self, tree: int, progress: _Progress, operations: list[Encoded]) -> None:
        ends = itertools.accumulate(len(data) for _, _, data in operations)
        ops = tuple(
            Op(kind, one, end - len(data), len(data))
            for (kind, one, data), end in zip(operations, ends, strict=True)
        )
        body = b"".join([data for _, _, data in operations])
        entry = Entry(next(self._numbers), 0, len(body), Header(None, None, {"tree": tree}, ops))
        if not self._has_room(len(body)):
            self._hand_over()  # or a body that needs all the room would wait for those that nobody sends
        with self._room:
            self._room.wait_for(lambda: self._has_room(len(body)))
            self._bodies[entry.seq] = body
            self._held += len(body)
            progress.left += 1
        self._ready.append(entry)
        self._ready_bytes += len(body)
        if self._ready_bytes >= HANDED_BYTES:
            self._hand_over()

    def _has_room(self, size: int) -> bool:
        return self._held == 0 or self._held + size <= AHEAD_BYTES

    def _hand_over(self) -> None:
        """Give a line what is ready."""
        if self._ready:
            min(self._lines, key=lambda line: line.pending).offer(self._ready)
        self._ready, self._ready_bytes = [], 0

    def settled(self) -> Iterator[Settled]:
        """Return the traces of which all has been answered since the last call."""
        while True:
            try:
                yield self._settled.get_nowait()
            except queue.Empty:
                return

    def finish(self, meanwhile: Callable[[], None], every: float = 0.5) -> None:
        """Wait until all has been answered."""
        self._hand_over()
        for line in self._lines:
            line.flush()
        for line in self._lines:
            while not line.wait_idle(every):
                meanwhile()
        meanwhile()

    def close(self) -> None:
        """Stop; what is under way is not waited for."""
        self._gate.close()
        for line in self._lines:
            line.stop(_FAREWELL)

    # -- called by the lines ------------------------------------------------------------------------------

    def _body(self, entry: Entry) -> bytes:
        return self._bodies[entry.seq]

    def accepted(self, entries: list[Entry]) -> None:
        """Book what the destination has taken."""
        with self._room:
            for entry in entries:
                scores = sum(op.kind == "feedback" for op in entry.header.ops)
                self.sent["feedback"] += scores
                self.sent["runs"] += len(entry.header.ops) - scores
                self.sent["bytes"] += entry.length
                self._answered(entry)

    def refused(self, entry: Entry, reason: str) -> None:
        """Remember what it has not."""
        with self._room:
            self._answered(entry, reason)

    def note(self, text: str) -> None:
        """Pass on what holds things up."""
        self._note(text)

    def _answered(self, entry: Entry, reason: str | None = None) -> None:
        self._held -= len(self._bodies.pop(entry.seq))
        tree = entry.header.meta["tree"]
        progress = self._trees[tree]
        progress.left -= 1
        if reason is not None:
            progress.reasons.append(reason)
        self._conclude(tree, progress)
        self._room.notify()

    def _conclude(self, tree: int, progress: _Progress) -> None:
        if progress.sealed and not progress.left:
            del self._trees[tree]
            self._settled.put(Settled(tree, "; ".join(dict.fromkeys(progress.reasons)) or None))


def _portions(operations: Iterable[Encoded]) -> Iterator[list[Encoded]]:
    """Divide a trace into records: whatever its size, little of it is in memory."""
    some: list[Encoded] = []
    size = 0
    for operation in operations:
        length = len(operation[2])
        if some and (size + length > RECORD_BYTES or len(some) == RECORD_OPS):
            yield some
            some, size = [], 0
        some.append(operation)
        size += length
    if some:
        yield some
