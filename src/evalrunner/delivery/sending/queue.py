"""Records that are offered, until they are settled. Pure: no clock, no lock; its owner has both."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from evalrunner.delivery.spool.writer import Entry


class SendQueue:
    """Records in the order in which they were offered, and all of them that are not settled: accepted or refused.

    Args:
        max_bytes, max_ops: of one batch, unpacked; a single record may be larger.
        linger: seconds that the first record of a batch waits for company.
    """

    def __init__(self, *, max_bytes: int, max_ops: int, linger: float) -> None:
        self._max_bytes, self._max_ops, self._linger = max_bytes, max_ops, linger
        self._queue: deque[Entry] = deque()
        self._queued_bytes = self._queued_ops = 0
        self._pending: dict[int, Entry] = {}
        self._due = 0.0  # when the queue's first record has waited long enough

    @property
    def pending(self) -> dict[int, Entry]:
        """What is not settled, by seq."""
        return self._pending

    @property
    def due(self) -> float | None:
        """When there is a batch at the latest; None if nothing waits."""
        return self._due if self._queue else None

    def offer(self, entries: Sequence[Entry], now: float) -> None:
        """Take records. What is pending already is not taken twice."""
        if not self._queue:
            self._due = now + self._linger
        for entry in entries:
            if entry.seq not in self._pending:
                self._pending[entry.seq] = entry
                self._enqueue(entry)

    def flush(self) -> None:
        """Let nothing wait for company."""
        self._due = 0.0

    def batch(self, now: float) -> list[Entry]:
        """Take a batch off the queue; an empty one means that none is full and company may yet come."""
        if not self._queue or not self._ripe(now):
            return []
        batch = [self._dequeue()]
        size, ops = batch[0].length, len(batch[0].header.ops)
        while self._queue:
            size += self._queue[0].length
            ops += len(self._queue[0].header.ops)
            if size > self._max_bytes or ops > self._max_ops:
                break
            batch.append(self._dequeue())
        self._due = 0.0  # what is left has waited already
        return batch

    def company(self, first: bool, now: float) -> list[Entry]:
        """Take a batch off the queue, and where that has been tried, one record, if there is any."""
        if first and (batch := self.batch(now)):
            return batch
        return [self._dequeue()] if self._queue else []

    def settle(self, entries: Sequence[Entry]) -> None:
        """Take records off the pending ones."""
        for entry in entries:
            self._pending.pop(entry.seq, None)

    def empty(self) -> list[Entry]:
        """Take everything off the queue, and return all that is pending, in the order of the spool."""
        self._queue.clear()
        self._queued_bytes = self._queued_ops = 0
        return self.in_order()

    def in_order(self) -> list[Entry]:
        """Return what is not settled, in the order of the spool."""
        return sorted(self._pending.values(), key=lambda entry: entry.seq)

    def _ripe(self, now: float) -> bool:
        full = self._queued_bytes >= self._max_bytes or self._queued_ops >= self._max_ops
        return full or self._due <= now

    def _enqueue(self, entry: Entry) -> None:
        self._queue.append(entry)
        self._queued_bytes += entry.length
        self._queued_ops += len(entry.header.ops)

    def _dequeue(self) -> Entry:
        entry = self._queue.popleft()
        self._queued_bytes -= entry.length
        self._queued_ops -= len(entry.header.ops)
        return entry
