"""The sender: takes durable records and sends them until the service has taken them, or never will.

One piece of code, wherever records are sent from: the worker's own spool, a dead worker's, a resumed run's.

    offer ─> SendQueue ─> Schedule ─turn─> POST ─┬─ 2xx ──────────────> accepted
                        ▲                 ├─ 409 ──> record by record ──> op by op; 409 to one op alone = accepted
                        │                 ├─ 413 ──> halves ──> op by op; one op alone = refused
                        │                 ├─ 400 and the like ──> halves; one record alone = refused
                        │                 └─ 429, 5xx, 401, no answer ──> wait, the same bytes again ─┐
                        └─────────────────────────────────────────────────────────────────────────────┘
                                     until `deadline` seconds have passed without any success: refused

What the service fails at while it takes others (5xx for ever, say) is divided; what cannot be divided steps
aside (schedule.py), is tried again at growing intervals, and is refused alone `deadline` seconds after it first
failed.

A record that is refused stays in its spool: it can be sent again by a later run. Only what is durable may be
offered: a record that was sent and then lost by a power cut would be executed, and visible, twice.
"""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Callable, Sequence

from evalrunner.clock import SYSTEM, Clock
from evalrunner.delivery.sending.breaker import Breaker, Notes
from evalrunner.delivery.sending.exchange import Exchange, Reply, Transport
from evalrunner.delivery.sending.queue import SendQueue
from evalrunner.delivery.sending.retry import Verdict, next_delay
from evalrunner.delivery.sending.schedule import IN_PLACE, Batch, Schedule
from evalrunner.delivery.spool.writer import Entry

#: What this process, and not a record, is short of: descriptors, memory.
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Sender:
    """Sends the records of one spool on a thread of its own. A forked child must not use its parent's.

    Args:
        read_body: returns a record's body; what it raises refuses the record, unless descriptors or memory are
            short: then it is sent later.
        boundary: of the spool.
        on_accepted: called on the sender's thread with records that the service has taken.
        on_refused: called likewise with a record that it has not, and why.
        on_note: called likewise with a short sentence for humans, "" when there is nothing to say any more.
        max_batch_bytes, max_batch_ops: of one request, unpacked; a single record may be larger.
        linger: seconds that the first record of a batch waits for company.
        deadline: seconds without any success after which everything pending is refused. Each later batch is
            tried once, until one is taken. No request lasts longer than what is left of it.
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
        self._read_body, self._on_accepted, self._on_refused = read_body, on_accepted, on_refused
        self._clock, self._probe_interval = clock, probe_interval
        self._rng = rng or random.Random()  # noqa: S311  (scatters delays, guards nothing)
        self._notes = Notes(on_note, clock)
        self._queue = SendQueue(clock, max_bytes=max_batch_bytes, max_ops=max_batch_ops, linger=linger)
        self._schedule = Schedule(self._rng)
        self._exchange = Exchange(transport, boundary, compress=compress)
        self._breaker = Breaker(deadline)
        self._thread = threading.Thread(target=self._run, name="evalrunner-sender", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Records offered and neither accepted nor refused."""
        return self._queue.pending_count

    def offer(self, entries: list[Entry]) -> None:
        """Take durable records to send. What is pending already is not taken twice."""
        self._queue.offer(entries)

    def flush(self) -> None:
        """Send what is there without waiting for company."""
        self._queue.flush()

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until every offered record has been accepted or refused; return whether that is so."""
        return self._queue.wait_idle(timeout)

    def undelivered(self) -> list[Entry]:
        """Return the pending records in the order of the spool; refused ones are not among them."""
        return self._queue.pending()

    def stop(self, timeout: float | None = 30.0) -> bool:
        """Stop sending; what is pending stays so.

        Returns:
            False if a request is still under way after `timeout` seconds: its records may yet be accepted.
        """
        self._queue.close()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while batch := self._next():
            entries = batch.entries
            try:
                self._send(batch)
            except Exception as error:  # a callback's, or ours: these records fail, the others must not
                self._schedule.drop(entries)
                for entry in entries:
                    if self._queue.holds(entry):
                        self._refused(entry, f"{type(error).__name__} while sending: {error}")

    def _next(self) -> Batch | None:
        """Sleep until there is something to send; None means stop."""
        while not self._queue.closed.is_set():
            if not self._schedule.ready:
                self._schedule.add(self._queue.batch())
            elif self._schedule.wants_company and not self._schedule.add(
                self._queue.company(self._schedule.alone)
            ):
                self._schedule.pick()
            if batch := self._schedule.take_turn(self._clock.monotonic()):
                return batch
            self._queue.wait(self._schedule.next_due)
        return None

    def _send(self, batch: Batch) -> None:
        """Send a batch once, and judge what came of it."""
        if empty := [entry for entry in batch.entries if not entry.header.ops]:
            batch.entries = [entry for entry in batch.entries if entry.header.ops]
            self._accepted(empty)
        began = self._clock.monotonic()
        try:
            bodies = self._bodies(batch)
        except OSError as error:
            self._failed(batch, Reply(Verdict.THROTTLED, f"the spool cannot be read now: {error}"), began)
            return
        if not bodies:
            self._schedule.replace(batch)
            return
        own = batch.since if batch in self._schedule.aside else None
        reply = self._exchange.post(batch, bodies, self._breaker.limit(began, own))
        if not batch.suspect and not batch.failures:
            self._breaker.sample(reply.final)
        if not reply.final:
            self._failed(batch, reply, began)
            return
        self._breaker.succeeded(again=batch.acquitted)
        if not self._schedule.aside:
            self._notes.say("")
        self._judge(batch, reply)

    def _bodies(self, batch: Batch) -> list[bytes]:
        bodies, readable = [], []
        for at, entry in enumerate(batch.entries):
            try:
                bodies.append(self._read_body(entry))
                readable.append(entry)
            except Exception as error:  # a spool that cannot be read any more: one record's loss, by name
                if isinstance(error, OSError) and error.errno in _SHORT:
                    # This process has none left, which says nothing of the record. Those refused just now are done.
                    batch.entries = [*readable, *batch.entries[at:]]
                    raise
                self._refused(entry, f"cannot be read from the spool: {error}")
        batch.entries = readable
        return bodies

    def _judge(self, batch: Batch, reply: Reply) -> None:
        if batch.at is None and reply.verdict is Verdict.ACCEPTED:
            self._schedule.taken(batch)
            self._accepted(batch.entries)
        elif batch.at is None and reply.verdict is Verdict.REFUSED and len(batch.entries) == 1:
            self._schedule.replace(batch)
            self._refused(batch.entries[0], reply.text)
        elif batch.divisible:
            self._schedule.replace(batch, batch.pieces(reply.verdict))
        else:
            self._judge_op(batch, reply)

    def _judge_op(self, batch: Batch, reply: Reply) -> None:
        # 409 to a request that carried this one operation: it had been taken before.
        if reply.verdict not in (Verdict.ACCEPTED, Verdict.CONFLICT):
            batch.refusals.append(reply.refusal(batch))
        more = batch.advance()
        self._schedule.replace(batch, [batch] if more else [])
        if not more and batch.refusals:
            self._refused(batch.entries[0], "; ".join(batch.refusals))
        elif not more:
            self._accepted(batch.entries)

    def _failed(self, batch: Batch, reply: Reply, began: float) -> None:
        if reply.blames_the_load:
            batch.failed(began, self._breaker.answered)
            if batch in self._schedule.aside or batch.is_guilty(
                self._breaker.answered, self._breaker.failing
            ):
                self._set_apart(batch, reply)
                return
        self._breaker.failed(began)
        if self._breaker.left(self._clock.monotonic()) <= 0:
            self._give_up(batch, reply.text)
            return
        if reply.verdict is Verdict.TRANSIENT and batch.divisible and batch.failures >= IN_PLACE:
            self._schedule.replace(batch, batch.pieces(reply.verdict))
        self._back_off(reply)

    def _set_apart(self, batch: Batch, reply: Reply) -> None:
        """Divide what the service fails at while it takes others, or let the others pass it."""
        if batch.divisible:
            self._schedule.replace(batch, batch.apart(self._breaker.answered))
            return
        now = self._clock.monotonic()
        left = self._breaker.deadline - (now - (now if batch.since is None else batch.since))
        if left <= 0:
            self._schedule.replace(batch)
            self._refused(batch.entries[0], self._breaker.too_late(reply.text))
            return
        self._schedule.step_aside(batch)
        delay = min(left, next_delay(batch.failures, reply.retry_after, self._rng))
        batch.due = now + delay
        self._notes.say(reply.text, f"; sending this one record again in {max(1, round(delay))} s")

    def _back_off(self, reply: Reply) -> None:
        if reply.verdict is Verdict.UNAUTHORIZED:
            delay = self._probe_interval
            self._notes.say(reply.text, f"; traces are kept, and one try is made every {delay:g} s")
        else:
            delay = next_delay(self._breaker.failures, reply.retry_after, self._rng)
            self._notes.say(reply.text, f"; sending again in {max(1, round(delay))} s")
        left = self._breaker.left(self._clock.monotonic())
        self._queue.closed.wait(max(0.0, min(delay, left)))

    def _give_up(self, batch: Batch, why: str) -> None:
        """Refuse what is pending when the deadline passes; afterwards, what has had its one try."""
        entries = batch.entries
        if self._breaker.gave_up:
            self._schedule.replace(batch)
        else:
            entries = self._queue.empty()
            self._schedule.clear()
        self._breaker.gave_up = True
        for entry in entries:
            if entry.header.ops:
                self._refused(entry, self._breaker.too_late(why))
            else:  # nothing of it is undelivered
                self._accepted([entry])

    def _accepted(self, entries: Sequence[Entry]) -> None:
        self._on_accepted(list(entries))
        self._queue.settle(entries)

    def _refused(self, entry: Entry, why: str) -> None:
        self._on_refused(entry, why)
        self._queue.settle([entry])
