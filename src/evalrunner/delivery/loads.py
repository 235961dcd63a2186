"""Loads, and whose turn it is: what one request carries, how it is divided, when it lets others pass.

    records ──> Load ──> Line: head, others behind it ──turn──> one request
                 ▲                                             │ fails IN_PLACE times
                 │                                             ▼
                 │        it is a suspect: its turns alternate with one of the others, tried once
                 │                                             │ another was answered, it fails again
                 │  divisible: its pieces                      ▼
                 └───────────────────────────── guilty: an indivisible one steps aside, and comes again by itself

In an outage no other is answered, so that nobody is guilty and the order stays as it was. What steps aside
keeps the order within itself; a record behind it may arrive first, which the service must take in any case
(the SDK sends from several threads: a patch can come before its post).

Pure: no clock, no network, no lock; one thread uses a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from evalrunner.delivery.record import Op
from evalrunner.delivery.retry import Verdict
from evalrunner.delivery.spool import Entry

#: Failures in a row after which a load lets others have a turn, and is sent in smaller pieces if it can be: a
#: proxy may cut what is too large for it without an answer, and a line may be too slow for it.
IN_PLACE = 3
#: With how many others a suspect alternates, at most.
COMPANY = 8


@dataclass(eq=False)
class Load:
    """Records that travel in one request, or one record whose operations travel one by one.

    Attributes:
        at: which operation is next, where they travel one by one; else None.
        refusals: what was said of operations that will never be taken.
        failures: in this shape; counted anew once it has stepped aside.
        since: when the first try began that failed, in this shape or an earlier one; monotonic seconds.
        answered: how many final answers there had been by then, to whomever.
        suspect: it lets others pass.
        due: when it is tried again, once it has stepped aside.
    """

    entries: Sequence[Entry]
    at: int | None = None
    refusals: list[str] = field(default_factory=list)
    failures: int = 0
    since: float | None = None
    answered: int = 0
    suspect: bool = False
    due: float = 0.0

    @property
    def op(self) -> Op:
        """The operation that is next, of one record."""
        return self.entries[0].header.ops[self.at or 0]

    @property
    def divisible(self) -> bool:
        """Whether smaller pieces of it could be sent."""
        return len(self.entries) > 1 or (self.at is None and len(self.entries[0].header.ops) > 1)

    def failed(self, began: float, answered: int) -> None:
        """Note a failure of the kind that may be its own fault."""
        if self.since is None:
            self.since = began
        if not self.failures:
            self.answered = answered
        self.failures += 1
        self.suspect = self.suspect or self.failures >= IN_PLACE

    def is_guilty(self, answered: int) -> bool:
        """Whether others have been answered since it first failed, so that it is no outage."""
        return self.suspect and answered > self.answered

    def pieces(self, verdict: Verdict) -> list[Load]:
        """Divide it: one by one where it must be known which record was taken, else into halves."""
        if len(self.entries) == 1:
            return [Load(self.entries, at=0, since=self.since, suspect=self.suspect)]
        if verdict is Verdict.CONFLICT:
            return [Load([entry]) for entry in self.entries]
        return self.cut(len(self.entries) // 2)

    def cut(self, at: int) -> list[Load]:
        """Divide it before its record `at`."""
        parts = self.entries[:at], self.entries[at:]
        return [Load(part, since=self.since, suspect=self.suspect) for part in parts]

    def apart(self) -> list[Load]:
        """Divide a guilty one: its first record alone may be taken, even where each half has a culprit."""
        if len(self.entries) < 3:
            return self.pieces(Verdict.TRANSIENT)
        first, rest = self.cut(1)
        return [first, *rest.cut(len(rest.entries) // 2)]

    def advance(self) -> bool:
        """Go on to the next operation; return whether there is one."""
        self.at = (self.at or 0) + 1
        self.failures, self.since = 0, None
        return self.at < len(self.entries[0].header.ops)


class Line:
    """The loads that are under way, in order, and those that have stepped aside."""

    def __init__(self) -> None:
        self.ready: list[Load] = []
        self.aside: list[Load] = []
        self._last: Load | None = None  # of those in the line
        self._called = False  # the last turn was that of one aside

    @property
    def wants_company(self) -> bool:
        """Whether a suspect has tried all the others there are; one record more would be somebody new."""
        others = self.ready[1:]
        return self._lets_pass() and len(others) < COMPANY and all(other.failures for other in others)

    @property
    def next_due(self) -> float | None:
        """When the first of those aside is to be tried again."""
        return min((load.due for load in self.aside), default=None)

    def add(self, entries: Sequence[Entry]) -> bool:
        """Put a load at the end, if there is anything in it; return whether there is."""
        if entries:
            self.ready.append(Load(entries))
        return bool(entries)

    def take_turn(self, now: float) -> Load | None:
        """Return the load to send now, which stays in the line; None if there is none."""
        due = [load for load in self.aside if load.due <= now]
        self._called = bool(due) and not (
            self.ready and self._called
        )  # many of these must not hold up the line
        if self._called:
            return min(due, key=lambda load: load.due)
        if len(self.ready) > 1 and self._lets_pass():
            self._last = min(self.ready[1:], key=lambda load: load.failures)
        else:
            self._last = self.ready[0] if self.ready else None
        return self._last

    def _lets_pass(self) -> bool:
        return bool(self.ready) and self.ready[0] is self._last and self.ready[0].suspect

    def replace(self, load: Load, pieces: Sequence[Load] = ()) -> None:
        """Put pieces where a load was; none, and it is done with."""
        if load in self.aside:
            self.aside.remove(load)
            self.ready[:0] = pieces
        else:
            at = self.ready.index(load)
            self.ready[at : at + 1] = pieces

    def behead(self) -> None:
        """Divide the first load of several records into its first and the rest, so that there is somebody new."""
        for load in self.ready:
            if len(load.entries) > 1:
                self.replace(load, load.cut(1))
                return

    def step_aside(self, load: Load) -> None:
        """Let everybody else pass a load."""
        if load not in self.aside:
            self.ready.remove(load)
            self.aside.append(load)
            load.failures = 1

    def drop(self, entries: Sequence[Entry]) -> None:
        """Forget the loads of some records."""
        gone = {entry.seq for entry in entries}
        for loads in (self.ready, self.aside):
            loads[:] = [load for load in loads if not gone.intersection(e.seq for e in load.entries)]

    def clear(self) -> None:
        """Forget everything."""
        self.ready.clear()
        self.aside.clear()
