"""The sender: takes durable records and sends them until the service has taken them, or never will.

One piece of code, wherever records are sent from: the worker's own spool, a dead worker's, a resumed run's.

    offer ─> queue ─> batch ─> POST ─┬─ 2xx ──────────────────> accepted
                 ▲                   ├─ 409 ──> record by record ──> op by op; 409 to one op alone = accepted
                 │                   ├─ 413 ──> halves ──> op by op; one op alone = refused
                 │                   ├─ 400 and the like ──> halves; one record alone = refused
                 │                   └─ 429, 5xx, 401, no answer ──> wait, the same bytes again ─┐
                 └───────────────────────────────────────────────────────────────────────────────┘
                                     until `deadline` seconds have passed without any success: refused

A record that is refused stays in its spool: it can be sent again by a later run. Only what is durable may be
offered: a record that was sent and then lost by a power cut would be executed, and visible, twice.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from evalrunner.clock import SYSTEM, Clock
from evalrunner.delivery.record import Op, closing
from evalrunner.delivery.retry import Verdict, classify, next_delay
from evalrunner.delivery.spool import Entry
from evalrunner.delivery.transport import Answer, TransportError

#: Failures in a row after which a load is sent in smaller pieces: a proxy may cut what is too large for it
#: without an answer, and a line may be too slow for it.
SPLIT_AFTER = 3
#: Seconds between two notes.
NOTE_INTERVAL = 1.0


class Transport(Protocol):
    """What the sender needs of `transport.HttpTransport`."""

    def post_multipart(self, body: bytes, boundary: str, *, compress: bool) -> Answer:
        """Send one body; raise TransportError if no answer came."""


@dataclass(frozen=True)
class _Outcome:
    """How an exchange ended, for good.

    Attributes:
        verdict: what the service made of it, or None if it said nothing final.
        text: its words, or why the sender gave up.
        split: send it in pieces.
        stopped: the sender is stopping; the load stays pending.
    """

    verdict: Verdict | None
    text: str = ""
    split: bool = False
    stopped: bool = False


_STOPPED = _Outcome(None, stopped=True)
_FINAL = (Verdict.ACCEPTED, Verdict.CONFLICT, Verdict.TOO_LARGE, Verdict.REFUSED)


class Sender:
    """Sends the records of one spool on a thread of its own. A forked child must not use its parent's.

    Args:
        read_body: returns a record's body; whatever it raises refuses the record.
        boundary: of the spool.
        on_accepted: called on the sender's thread with records that the service has taken.
        on_refused: called likewise with a record that it has not, and why.
        on_note: called likewise with a short sentence for humans, "" when there is nothing to say any more.
        max_batch_bytes, max_batch_ops: of one request, unpacked; a single record may be larger.
        linger: seconds that the first record of a batch waits for company.
        deadline: seconds without any success after which everything pending is refused. Each later batch is
            tried once, until one is taken.
        probe_interval: seconds between two tries while the key is refused.
    """

    def __init__(
        self,
        transport: Transport,
        read_body: Callable[[Entry], bytes],
        boundary: str,
        *,
        on_accepted: Callable[[list[Entry]], None],
        on_refused: Callable[[Entry, str], None],
        on_note: Callable[[str], None],
        clock: Clock = SYSTEM,
        compress: bool = True,
        max_batch_bytes: int = 4 << 20,
        max_batch_ops: int = 1000,
        linger: float = 0.05,
        deadline: float = 900.0,
        probe_interval: float = 30.0,
        rng: random.Random | None = None,
    ) -> None:
        self._transport, self._read_body, self._boundary = transport, read_body, boundary
        self._on_accepted, self._on_refused = on_accepted, on_refused
        self._closing = closing(boundary)
        self._clock, self._compress = clock, compress
        self._max_bytes, self._max_ops, self._linger = max_batch_bytes, max_batch_ops, linger
        self._deadline, self._probe_interval = deadline, probe_interval
        self._rng = rng or random.Random()  # noqa: S311  (scatters delays, guards nothing)
        self._notes = _Notes(on_note, clock)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)  # the sender waits here
        self._settled = threading.Condition(self._lock)  # wait_idle() waits here
        self._queue: deque[Entry] = deque()
        self._queued_bytes = self._queued_ops = 0
        self._pending: dict[int, Entry] = {}
        self._due = 0.0  # when the queue's first record has waited long enough
        self._failing_since: float | None = None
        self._failures = 0  # in a row
        self._gave_up = False
        self._thread = threading.Thread(target=self._run, name="evalrunner-sender", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Records offered and neither accepted nor refused."""
        with self._lock:
            return len(self._pending)

    def offer(self, entries: list[Entry]) -> None:
        """Take durable records to send. What is pending already is not taken twice."""
        with self._lock:
            if not self._queue:
                self._due = self._clock.monotonic() + self._linger
            for entry in entries:
                if entry.seq not in self._pending:
                    self._pending[entry.seq] = entry
                    self._enqueue(entry)
            self._work.notify()

    def flush(self) -> None:
        """Send what is there without waiting for company."""
        with self._lock:
            self._due = 0.0
            self._work.notify()

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until every offered record has been accepted or refused; return whether that is so."""
        with self._lock:
            self._settled.wait_for(lambda: not self._pending or self._stopping.is_set(), timeout)
            return not self._pending

    def undelivered(self) -> list[Entry]:
        """Return the pending records in the order of the spool; refused ones are not among them."""
        with self._lock:
            return sorted(self._pending.values(), key=lambda entry: entry.seq)

    def stop(self, timeout: float | None = 30.0) -> bool:
        """Stop sending; what is pending stays so.

        Returns:
            False if a request is still under way after `timeout` seconds: its records may yet be accepted.
        """
        self._stopping.set()
        with self._lock:
            self._work.notify()
            self._settled.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _enqueue(self, entry: Entry) -> None:
        self._queue.append(entry)
        self._queued_bytes += entry.length
        self._queued_ops += len(entry.header.ops)

    def _dequeue(self) -> Entry:
        entry = self._queue.popleft()
        self._queued_bytes -= entry.length
        self._queued_ops -= len(entry.header.ops)
        return entry

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._send(batch)
            except Exception as error:  # a callback's, or ours: these records fail, the others must not
                self._refuse_rest(batch, f"{type(error).__name__} while sending: {error}")

    def _next_batch(self) -> list[Entry]:
        """Sleep until there is a batch worth sending; an empty one means stop."""
        with self._lock:
            self._work.wait_for(lambda: self._queue or self._stopping.is_set())
            while not self._stopping.is_set() and not self._full():
                left = self._due - self._clock.monotonic()
                if left <= 0:
                    break
                self._work.wait(left)
            return [] if self._stopping.is_set() else self._fill()

    def _full(self) -> bool:
        return self._queued_bytes >= self._max_bytes or self._queued_ops >= self._max_ops

    def _fill(self) -> list[Entry]:
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

    def _send(self, batch: Sequence[Entry]) -> None:
        """Bring each record of a batch to its end, unless the sender is stopped."""
        if empty := [entry for entry in batch if not entry.header.ops]:
            self._accepted(empty)
        bodies = self._bodies([entry for entry in batch if entry.header.ops])
        self._send_bodies(batch, bodies)

    def _bodies(self, batch: Sequence[Entry]) -> dict[int, bytes]:
        bodies: dict[int, bytes] = {}
        for entry in batch:
            try:
                bodies[entry.seq] = self._read_body(entry)
            except Exception as error:  # a spool that cannot be read any more: one record's loss, by name
                self._refused(entry, f"cannot be read from the spool: {error}")
        return bodies

    def _send_bodies(self, batch: Sequence[Entry], bodies: dict[int, bytes]) -> None:
        batch = [entry for entry in batch if entry.seq in self._pending]  # a give-up may have ended them
        if not batch:
            return
        divisible = len(batch) > 1 or len(batch[0].header.ops) > 1
        outcome = self._exchange([bodies[entry.seq] for entry in batch], divisible)
        if outcome.stopped:
            return
        if outcome.verdict is Verdict.ACCEPTED:
            self._accepted(batch)
        elif outcome.verdict is None and not outcome.split:
            self._give_up(batch, outcome.text)
        elif len(batch) > 1:
            for piece in _pieces(batch, outcome.verdict):
                self._send_bodies(piece, bodies)
        elif outcome.verdict is Verdict.REFUSED:
            self._refused(batch[0], outcome.text)
        else:
            self._send_ops(batch[0], bodies[batch[0].seq], outcome)

    def _send_ops(self, entry: Entry, body: bytes, whole: _Outcome) -> None:
        """Send a record's operations one by one; `whole` is what became of it in one piece."""
        ops, refusals = entry.header.ops, []
        for op in ops:
            slice_ = body[op.offset : op.offset + op.length]
            outcome = whole if len(ops) == 1 else self._exchange([slice_], divisible=False)
            if outcome.stopped:
                return
            if outcome.verdict is None:
                self._give_up([entry], outcome.text)
                return
            # 409 to a request that carried this one operation: it had been taken before.
            if outcome.verdict not in (Verdict.ACCEPTED, Verdict.CONFLICT):
                refusals.append(_refusal(op, outcome))
        if refusals:
            self._refused(entry, "; ".join(refusals))
        else:
            self._accepted([entry])

    def _exchange(self, chunks: Sequence[bytes], divisible: bool) -> _Outcome:
        """Send one body until the service says something final, patience ends, or it should be divided."""
        body = b"".join([*chunks, self._closing])
        attempt = 0
        while not self._stopping.is_set():
            verdict, text, retry_after = self._post(body)
            if verdict in _FINAL:
                self._succeeded()
                return _Outcome(verdict, text)
            attempt += 1
            self._failures += 1
            if self._patience() <= 0:
                return _Outcome(None, f"not delivered within {self._deadline:g} s: {text}")
            if divisible and verdict is Verdict.TRANSIENT and attempt >= SPLIT_AFTER:
                return _Outcome(None, text, split=True)
            self._back_off(verdict, text, retry_after)
        return _STOPPED

    def _post(self, body: bytes) -> tuple[Verdict, str, float | None]:
        try:
            answer = self._transport.post_multipart(body, self._boundary, compress=self._compress)
        except TransportError as error:
            return Verdict.TRANSIENT, f"no answer ({error})", None
        words = " ".join("".join(c if c.isprintable() else " " for c in answer.text).split())[:300]
        text = f"server answers {answer.status}" + (f": {words}" if words else "")
        return classify(answer.status), text, answer.retry_after

    def _patience(self) -> float:
        """Return the seconds until the deadline, which runs from the first of the failures in a row."""
        now = self._clock.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        return self._failing_since + self._deadline - now

    def _back_off(self, verdict: Verdict, text: str, retry_after: float | None) -> None:
        if verdict is Verdict.UNAUTHORIZED:
            delay = self._probe_interval
            self._notes.say(text, f"; traces are kept, and one try is made every {delay:g} s")
        else:
            delay = next_delay(self._failures, retry_after, self._rng)
            self._notes.say(text, f"; sending again in {max(1, round(delay))} s")
        self._stopping.wait(max(0.0, min(delay, self._patience())))

    def _succeeded(self) -> None:
        self._failing_since, self._failures, self._gave_up = None, 0, False
        self._notes.say("")

    def _give_up(self, batch: Sequence[Entry], why: str) -> None:
        """Refuse what is pending when the deadline passes; afterwards, what has had its one try."""
        with self._lock:
            if not self._gave_up:
                batch = sorted(self._pending.values(), key=lambda entry: entry.seq)
                self._queue.clear()
                self._queued_bytes = self._queued_ops = 0
        self._gave_up = True
        for entry in batch:
            self._refused(entry, why)

    def _accepted(self, entries: Sequence[Entry]) -> None:
        self._on_accepted(list(entries))
        self._settle(entries)

    def _refused(self, entry: Entry, why: str) -> None:
        self._on_refused(entry, why)
        self._settle([entry])

    def _refuse_rest(self, batch: Sequence[Entry], why: str) -> None:
        for entry in batch:
            if entry.seq in self._pending:
                self._refused(entry, why)

    def _settle(self, entries: Sequence[Entry]) -> None:
        """Take entries off the pending ones, after their callback: who waits for idle sees true books."""
        with self._lock:
            for entry in entries:
                self._pending.pop(entry.seq, None)
            if not self._pending:
                self._settled.notify_all()


class _Notes:
    """Passes on a note when it says something new, and at most one a second of the same kind."""

    def __init__(self, on_note: Callable[[str], None], clock: Clock) -> None:
        self._on_note, self._clock = on_note, clock
        self._kind = self._last = ""
        self._at = 0.0

    def say(self, kind: str, rest: str = "") -> None:
        now, text = self._clock.monotonic(), kind + rest
        if text == self._last or (kind == self._kind and now - self._at < NOTE_INTERVAL):
            return
        self._kind, self._last, self._at = kind, text, now
        self._on_note(text)


def _pieces(batch: Sequence[Entry], verdict: Verdict | None) -> list[Sequence[Entry]]:
    """Divide a batch: one by one where it must be known which record was taken, else into halves."""
    if verdict is Verdict.CONFLICT:
        return [[entry] for entry in batch]
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]]


def _refusal(op: Op, outcome: _Outcome) -> str:
    what = f"{op.kind} {op.id} ({op.length:,} bytes)"
    if outcome.verdict is Verdict.TOO_LARGE:
        return f"413: {what} is too large"
    return f"{what}: {outcome.text}"
