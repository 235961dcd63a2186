"""Batches, and whose turn it is: what one request carries, how it is divided, when it lets others pass.

    records ──> Batch ──> Schedule: head, others behind it ──turn──> one request
                 ▲                                             │ fails IN_PLACE times
                 │                                             ▼
                 │        it is a suspect: its turns alternate with one of the others, tried once
                 │                                             │ another was answered, it fails again,
                 │  divisible: its pieces                      ▼ and more often than chance would have it
                 └───────────────────────────── guilty: an indivisible one steps aside, and comes again by itself

In an outage no other is answered, so that nobody is guilty and the order stays as it was. Where the service takes
the very bytes that it failed at before, it fails at random: then guilt needs as many failures in a row as chance
would hardly bring, and what was divided on suspicion alone is joined again. What steps aside
keeps the order within itself; a record behind it may arrive first, which the service must take in any case
(the SDK sends from several threads: a patch can come before its post).

Pure: no clock, no network, no lock; one thread uses a line.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from evalrunner.delivery.sending.retry import Verdict
from evalrunner.delivery.spool.record import Op
from evalrunner.delivery.spool.writer import Entry

#: Failures in a row after which a batch lets others have a turn, and is sent in smaller pieces if it can be: a
#: proxy may cut what is too large for it without an answer, and a line may be too slow for it.
IN_PLACE = 3
#: How likely its failures in a row may be mere chance, where the service fails at others too, for a batch to be
#: guilty.
CHANCE = 0.01


@dataclass(eq=False)
class Batch:
    """Records that travel in one request, or one record whose operations travel one by one.

    Attributes:
        at: which operation is next, where they travel one by one; else None.
        refusals: what was said of operations that will never be taken.
        failures: in this shape; counted anew once it has stepped aside.
        since: when the first try began that failed, in this shape or an earlier one; monotonic seconds.
        answered: how many final answers there had been by then, or when it was divided, to whomever.
        suspect: it lets others pass.
        piece: of a guilty one.
        reshaped: it has lost a record since it first failed.
        due: when it is tried again, once it has stepped aside.
    """

    entries: Sequence[Entry]
    at: int | None = None
    refusals: list[str] = field(default_factory=list)
    failures: int = 0
    since: float | None = None
    answered: int = 0
    suspect: bool = False
    piece: bool = False
    reshaped: bool = False
    due: float = 0.0

    @property
    def op(self) -> Op:
        """The operation that is next, of one record."""
        return self.entries[0].header.ops[self.at or 0]

    @property
    def divisible(self) -> bool:
        """Whether smaller pieces of it could be sent."""
        return len(self.entries) > 1 or (self.at is None and len(self.entries[0].header.ops) > 1)

    @property
    def ops(self) -> int:
        """How many operations it has."""
        return sum(len(entry.header.ops) for entry in self.entries)

    @property
    def acquitted(self) -> bool:
        """Whether an answer to it now proves that earlier failures were none of its fault."""
        return self.failures > 0 and not self.reshaped

    @property
    def may_be_joined(self) -> bool:
        """Whether it was divided on suspicion alone, and is hardly suspicious itself."""
        return self.at is None and not self.piece and self.failures < IN_PLACE

    def failed(self, began: float, answered: int) -> None:
        """Note a failure of the kind that may be its own fault."""
        if self.since is None:
            self.since = began
        if not self.failures and not self.piece:
            self.answered = answered
        self.failures += 1
        self.suspect = self.suspect or self.failures >= IN_PLACE

    def is_guilty(self, answered: int, failing: float) -> bool:
        """Whether others have been answered since it first failed, so that it is no outage, nor bad luck.

        Args:
            failing: how likely the service is to fail at anything.
        """
        return self.suspect and answered > self.answered and failing**self.failures < CHANCE

    def pieces(self, verdict: Verdict) -> list[Batch]:
        """Divide it: one by one where it must be known which record was taken, else into halves."""
        if len(self.entries) == 1:
            return [Batch(self.entries, at=0, since=self.since, suspect=self.suspect, piece=self.piece)]
        if verdict is Verdict.CONFLICT:
            return [Batch([entry]) for entry in self.entries]
        return self.cut(len(self.entries) // 2)

    def cut(self, at: int) -> list[Batch]:
        """Divide it before its record `at`."""
        parts = self.entries[:at], self.entries[at:]
        return [Batch(part, since=self.since, suspect=self.suspect, piece=self.piece) for part in parts]

    def without(self, at: int) -> list[Batch]:
        """Take its record `at` out; return the rest and, as somebody new, that one."""
        entries = list(self.entries)
        one = Batch([entries.pop(at)], since=self.since)
        self.entries, self.reshaped = entries, True
        return [self, one]

    def apart(self, answered: int) -> list[Batch]:
        """Divide a guilty one: its first record alone may be taken, even where each half has a culprit."""
        if len(self.entries) < 3:
            parts = self.pieces(Verdict.TRANSIENT)
        else:
            first, rest = self.cut(1)
            parts = [first, *rest.cut(len(rest.entries) // 2)]
        for part in parts:
            part.piece, part.answered = True, answered
        return parts

    def advance(self) -> bool:
        """Go on to the next operation; return whether there is one."""
        self.at = (self.at or 0) + 1
        self.failures, self.since = 0, None
        return self.at < len(self.entries[0].header.ops)


class Schedule:
    """The batches that are under way, in order, and those that have stepped aside."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.ready: list[Batch] = []
        self.aside: list[Batch] = []
        self._last: Batch | None = None  # of those in the line
        self._called = False  # the last turn was that of one aside
        self._most = 0  # operations that the service has taken in one request

    @property
    def wants_company(self) -> bool:
        """Whether a suspect has tried all the others there are."""
        others = self.ready[1:]
        return self._lets_pass() and all(other.failures or other.piece for other in others)

    @property
    def alone(self) -> bool:
        """Whether there is one batch only."""
        return len(self.ready) == 1

    @property
    def next_due(self) -> float | None:
        """When the first of those aside is to be tried again."""
        return min((batch.due for batch in self.aside), default=None)

    def add(self, entries: Sequence[Entry]) -> bool:
        """Put a batch at the end, if there is anything in it; return whether there is."""
        if entries:
            self.ready.append(Batch(entries))
        return bool(entries)

    def take_turn(self, now: float) -> Batch | None:
        """Return the batch to send now, which stays in the line; None if there is none."""
        due = [batch for batch in self.aside if batch.due <= now]
        self._called = bool(due) and not (
            self.ready and self._called
        )  # many of these must not hold up the line
        if self._called:
            return min(due, key=lambda batch: batch.due)
        if len(self.ready) > 1 and self._lets_pass():
            self._last = min(self.ready[1:], key=lambda batch: batch.failures + batch.piece)
        else:
            self._last = self.ready[0] if self.ready else None
        return self._last

    def _lets_pass(self) -> bool:
        return bool(self.ready) and self.ready[0] is self._last and self.ready[0].suspect

    def replace(self, batch: Batch, pieces: Sequence[Batch] = ()) -> None:
        """Put pieces where a batch was; none, and it is done with."""
        if batch in self.aside:
            self.aside.remove(batch)
            self.ready[:0] = pieces
        else:
            at = self.ready.index(batch)
            self.ready[at : at + 1] = pieces

    def pick(self) -> None:
        """Take a record out of the largest batch, so that there is somebody new.

        Any one: those that the service fails at may lie side by side.
        """
        batch = max(self.ready, key=lambda batch: len(batch.entries))
        if len(batch.entries) > 1:
            self.replace(batch, batch.without(self._rng.randrange(len(batch.entries))))

    def taken(self, batch: Batch) -> None:
        """Be done with a batch that the service has taken."""
        self.replace(batch)
        self._most = max(self._most, batch.ops)
        if batch.acquitted:
            self._join()

    def _join(self) -> None:
        """Join neighbours that were divided on suspicion alone, to as many operations as have been taken before."""
        joined = self.ready[:1]
        for batch in self.ready[1:]:
            last = joined[-1]
            if last.may_be_joined and batch.may_be_joined and last.ops + batch.ops <= self._most:
                since = min((one.since for one in (last, batch) if one.since is not None), default=None)
                joined[-1] = Batch([*last.entries, *batch.entries], since=since)
            else:
                joined.append(batch)
        self.ready[:] = joined

    def step_aside(self, batch: Batch) -> None:
        """Let everybody else pass a batch."""
        if batch not in self.aside:
            self.ready.remove(batch)
            self.aside.append(batch)
            batch.failures = 1

    def drop(self, entries: Sequence[Entry]) -> None:
        """Forget the batches of some records."""
        gone = {entry.seq for entry in entries}
        for batches in (self.ready, self.aside):
            batches[:] = [batch for batch in batches if not gone.intersection(e.seq for e in batch.entries)]

    def clear(self) -> None:
        """Forget everything."""
        self.ready.clear()
        self.aside.clear()
