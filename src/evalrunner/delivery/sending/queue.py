"""Where durable records wait for the sender, and where others wait for what becomes of them.

Thread-safe: everybody may offer and wait, the sender's thread alone takes and settles.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from evalrunner.clock import Clock
from evalrunner.delivery.spool.writer import Entry


class SendQueue:
    """Records that are offered, until they are settled: accepted or refused.

    Args:
        max_bytes, max_ops: of one batch, unpacked; a single record may be larger.
        linger: seconds that the first record of a batch waits for company.
    """

    def __init__(self, clock: Clock, *, max_bytes: int, max_ops: int, linger: float) -> None:
        self._clock = clock
        self._max_bytes, self._max_ops, self._linger = max_bytes, max_ops, linger
        #: The sender is to stop.
        self.closed = threading.Event()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)  # the sender waits here
        self._settled = threading.Condition(self._lock)  # wait_idle() waits here
        self._queue: deque[Entry] = deque()
        self._queued_bytes = self._queued_ops = 0
        self._pending: dict[int, Entry] = {}
        self._due = 0.0  # when the queue's first record has waited long enough

    # -- everybody ------------------------------------------------------------------------------------

    def offer(self, entries: list[Entry]) -> None:
        """Take records. What is pending already is not taken twice."""
        with self._lock:
            if not self._queue:
                self._due = self._clock.monotonic() + self._linger
            for entry in entries:
                if entry.seq not in self._pending:
                    self._pending[entry.seq] = entry
                    self._enqueue(entry)
            self._work.notify()

    def flush(self) -> None:
        """Let nothing wait for company."""
        with self._lock:
            self._due = 0.0
            self._work.notify()

    def wait_idle(self, timeout: float | None) -> bool:
        """Wait until nothing is pending, or the queue is closed; return whether nothing is."""
        with self._lock:
            self._settled.wait_for(lambda: not self._pending or self.closed.is_set(), timeout)
            return not self._pending

    def pending(self) -> list[Entry]:
        """Return what is not settled, in the order of the spool."""
        with self._lock:
            return sorted(self._pending.values(), key=lambda entry: entry.seq)

    @property
    def pending_count(self) -> int:
        """How many records are not settled."""
        with self._lock:
            return len(self._pending)

    def close(self) -> None:
        """Wake everybody who waits here, for good; what is pending stays so."""
        self.closed.set()
        with self._lock:
            self._work.notify()
            self._settled.notify_all()

    # -- the sender -----------------------------------------------------------------------------------

    def batch(self) -> list[Entry]:
        """Take a batch off the queue; an empty one means that none is full and company may yet come."""
        with self._lock:
            if not self._queue or not self._ripe():
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

    def company(self, first: bool) -> list[Entry]:
        """Take a batch off the queue, and where that has been tried, one record, if there is any."""
        if first and (batch := self.batch()):
            return batch
        with self._lock:
            return [self._dequeue()] if self._queue else []

    def wait(self, until: float | None) -> None:
        """Sleep until there may be a batch, at most until the monotonic second `until`."""
        with self._lock:
            if self.closed.is_set() or (self._queue and self._ripe()):
                return
            times = [self._due] if self._queue else []
            if until is not None:
                times.append(until)
            self._work.wait(max(0.0, min(times) - self._clock.monotonic()) if times else None)

    def settle(self, entries: Sequence[Entry]) -> None:
        """Take records off the pending ones, after their callback: who waits for idle sees true books."""
        with self._lock:
            for entry in entries:
                self._pending.pop(entry.seq, None)
            if not self._pending:
                self._settled.notify_all()

    def empty(self) -> list[Entry]:
        """Take everything off the queue, and return all that is pending, in the order of the spool."""
        with self._lock:
            self._queue.clear()
            self._queued_bytes = self._queued_ops = 0
            return sorted(self._pending.values(), key=lambda entry: entry.seq)

    def holds(self, entry: Entry) -> bool:
        """Whether a record is not settled yet."""
        with self._lock:
            return entry.seq in self._pending

    def _ripe(self) -> bool:
        full = self._queued_bytes >= self._max_bytes or self._queued_ops >= self._max_ops
        return full or self._due <= self._clock.monotonic()

    def _enqueue(self, entry: Entry) -> None:
        self._queue.append(entry)
        self._queued_bytes += entry.length
        self._queued_ops += len(entry.header.ops)

    def _dequeue(self) -> Entry:
        entry = self._queue.popleft()
        self._queued_bytes -= entry.length
        self._queued_ops -= len(entry.header.ops)
        return entry
