"""The sender's judgment: told what happened and when, it answers what to do, and until when there is nothing to do.

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

No thread, no lock, no socket, no file, no clock: sender.py has them, and a test may do without.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from evalrunner.delivery.sending.breaker import Breaker, Notes
from evalrunner.delivery.sending.queue import SendQueue
from evalrunner.delivery.sending.reply import Reply
from evalrunner.delivery.sending.retry import Verdict, next_delay
from evalrunner.delivery.sending.schedule import IN_PLACE, Batch, Schedule
from evalrunner.delivery.spool.writer import Entry


@dataclass(frozen=True)
class Accepted:
    """To be told, and then settled: the service has taken these."""

    entries: list[Entry]


@dataclass(frozen=True)
class Refused:
    """To be told, and then settled: this one is not sent again."""

    entry: Entry
    why: str


@dataclass(frozen=True)
class Note:
    """To be told: what holds things up."""

    text: str


Told = Union[Accepted, Refused, Note]


@dataclass(frozen=True)
class Send:
    """What to do: send a batch, `began` being now, for at most `limit` seconds."""

    batch: Batch
    began: float
    limit: float


@dataclass(frozen=True)
class Sleep:
    """What to do: nothing until the monotonic second `until`, or until something is offered (None)."""

    until: float | None


class SendMachine:
    """Which records are sent when, in what company, and what their answers mean.

    Args:
        linger: seconds that the first record of a batch waits for company.
        deadline: seconds without any success after which everything pending is refused. Each later batch is
            tried once, until one is taken. No request lasts longer than what is left of it.
        probe_interval: seconds between two tries while the key is refused.
        patient: the time for which the service asks to be left alone does not count towards the deadline: an hourly
            quota makes a large upload a matter of hours.
    """

    def __init__(
        self,
        queue: SendQueue,
        *,
        deadline: float,
        probe_interval: float,
        rng: random.Random,
        patient: bool = False,
    ) -> None:
        self.queue, self._patient = queue, patient
        self._rng, self._probe_interval = rng, probe_interval
        self._schedule = Schedule(rng)
        self._breaker = Breaker(deadline)
        self._notes = Notes()
        self._pause = 0.0  # nothing is sent before that

    # -- what to do -----------------------------------------------------------------------------------

    def next(self, now: float) -> tuple[Send | Sleep, list[Told]]:
        """Return what to do at `now`, and what to tell before it is done."""
        if now < self._pause:
            return Sleep(self._pause), []
        if not self._schedule.ready:
            self._schedule.add(self.queue.batch(now))
        elif self._schedule.wants_company:
            self._find_company(now)
        batch = self._schedule.take_turn(now)
        if batch is None:
            times = [time for time in (self.queue.due, self._schedule.next_due) if time is not None]
            return Sleep(min(times, default=None)), []
        return self._start(batch, now)

    def _find_company(self, now: float) -> None:
        if not self._schedule.add(self.queue.company(self._schedule.alone, now)):
            self._schedule.pick()

    def _start(self, batch: Batch, now: float) -> tuple[Send | Sleep, list[Told]]:
        # Records without an operation have nothing to be sent: they are taken at once.
        empty = [entry for entry in batch.entries if not entry.header.ops]
        if empty:
            batch.entries = [entry for entry in batch.entries if entry.header.ops]
        told: list[Told] = [Accepted(empty)] if empty else []
        if not batch.entries:
            self._schedule.replace(batch)
            return Sleep(now), told
        own = batch.since if batch in self._schedule.aside else None
        return Send(batch, now, self._breaker.limit(now, own)), told

    # -- what happened --------------------------------------------------------------------------------

    def unreadable(self, batch: Batch, entry: Entry, error: Exception) -> list[Told]:
        """Take in that a record of a batch cannot be read: one record's loss, by name."""
        batch.entries = [one for one in batch.entries if one is not entry]
        if not batch.entries:
            self._schedule.replace(batch)
        return [Refused(entry, f"cannot be read from the spool: {error}")]

    def short(self, send: Send, error: Exception, now: float) -> list[Told]:
        """Take in that a batch cannot be read for want of descriptors or memory, which says nothing of it."""
        return self._failed(send, Reply(Verdict.THROTTLED, f"the spool cannot be read now: {error}"), now)

    def answered(self, send: Send, reply: Reply, now: float) -> list[Told]:
        """Take in what the service made of a batch."""
        batch = send.batch
        if not batch.suspect and not batch.failures:
            self._breaker.sample(reply.final)
        if not reply.final:
            return self._failed(send, reply, now)
        self._breaker.succeeded(again=batch.acquitted)
        told = self._say("", now=now) if not self._schedule.aside else []
        return told + self._judge(batch, reply)

    def broken(self, entries: Sequence[Entry], error: Exception) -> list[Told]:
        """Take in that something went wrong over these records: they fail, the others must not."""
        self._schedule.drop(entries)
        left = [entry for entry in entries if entry.seq in self.queue.pending]
        return [Refused(entry, f"{type(error).__name__} while sending: {error}") for entry in left]

    # -- what it means --------------------------------------------------------------------------------

    def _judge(self, batch: Batch, reply: Reply) -> list[Told]:
        if batch.at is None and reply.verdict is Verdict.ACCEPTED:
            self._schedule.taken(batch)
            return [Accepted(list(batch.entries))]
        if batch.at is None and reply.verdict is Verdict.REFUSED and len(batch.entries) == 1:
            self._schedule.replace(batch)
            return [Refused(batch.entries[0], reply.text)]
        if batch.divisible:
            self._schedule.replace(batch, batch.pieces(reply.verdict))
            return []
        return self._judge_op(batch, reply)

    def _judge_op(self, batch: Batch, reply: Reply) -> list[Told]:
        # 409 to a request that carried this one operation: it had been taken before.
        if reply.verdict not in (Verdict.ACCEPTED, Verdict.CONFLICT):
            batch.refusals.append(reply.refusal(batch.op))
        more = batch.advance()
        self._schedule.replace(batch, [batch] if more else [])
        if more:
            return []
        if batch.refusals:
            return [Refused(batch.entries[0], "; ".join(batch.refusals))]
        return [Accepted(list(batch.entries))]

    def _failed(self, send: Send, reply: Reply, now: float) -> list[Told]:
        batch = send.batch
        if reply.blames_the_load:
            batch.failed(send.began, self._breaker.answered)
            guilty = batch.is_guilty(self._breaker.answered, self._breaker.failing)
            if guilty or batch in self._schedule.aside:
                return self._set_apart(batch, reply, now)
        self._breaker.failed(send.began)
        if self._breaker.left(now) <= 0:
            return self._give_up(batch, reply.text)
        if reply.verdict is Verdict.TRANSIENT and batch.divisible and batch.failures >= IN_PLACE:
            self._schedule.replace(batch, batch.pieces(reply.verdict))
        return self._back_off(reply, now)

    def _set_apart(self, batch: Batch, reply: Reply, now: float) -> list[Told]:
        """Divide what the service fails at while it takes others, or let the others pass it."""
        if batch.divisible:
            self._schedule.replace(batch, batch.apart(self._breaker.answered))
            return []
        left = self._breaker.deadline - (now - (now if batch.since is None else batch.since))
        if left <= 0:
            self._schedule.replace(batch)
            return [Refused(batch.entries[0], self._breaker.too_late(reply.text))]
        self._schedule.step_aside(batch)
        delay = min(left, next_delay(batch.failures, reply.retry_after, self._rng))
        batch.due = now + delay
        return self._say(reply.text, f"; sending this one record again in {max(1, round(delay))} s", now=now)

    def _back_off(self, reply: Reply, now: float) -> list[Told]:
        if reply.verdict is Verdict.UNAUTHORIZED:
            delay = self._probe_interval
            rest = f"; traces are kept, and one try is made every {delay:g} s"
        else:
            delay = next_delay(self._breaker.failures, reply.retry_after, self._rng)
            if self._patient and reply.retry_after is not None:
                self._breaker.grant(delay)
            rest = f"; sending again in {max(1, round(delay))} s"
        self._pause = now + max(0.0, min(delay, self._breaker.left(now)))
        return self._say(reply.text, rest, now=now)

    def _give_up(self, batch: Batch, why: str) -> list[Told]:
        """Refuse what is pending when the deadline passes; afterwards, what has had its one try."""
        entries = batch.entries
        reason = self._breaker.too_late(why)
        if self._breaker.gave_up:
            # It came later, and has not waited for so long itself.
            reason = f"{reason} (the deadline had passed before it; it was tried once)"
            self._schedule.replace(batch)
        else:
            entries = self.queue.empty()
            self._schedule.clear()
        self._breaker.gave_up = True
        # Of a record without operations nothing is undelivered.
        return [Refused(entry, reason) if entry.header.ops else Accepted([entry]) for entry in entries]

    def _say(self, kind: str, rest: str = "", *, now: float) -> list[Told]:
        return [Note(text) for text in self._notes.say(kind, rest, now)]
