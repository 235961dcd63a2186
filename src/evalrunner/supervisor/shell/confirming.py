"""Which items are still to come back, which of them to ask for next and when, and what an answer means.

A machine without thread, clock or I/O: it is told the time and what was found. Its owner asks, and holds a lock.
"""

from __future__ import annotations

from evalrunner.supervisor.core.events import Missed
from evalrunner.supervisor.shell.confirm_queue import ConfirmQueue
from evalrunner.supervisor.shell.look import Found, Wanted
from evalrunner.verify.readback import IDS, Score

#: Items asked for in one pass: whole requests, where each has one run.
PASS = 4 * IDS
#: Seconds that an item waits for company; seconds between passes that found nothing, at most.
PAUSE, LONGEST_PAUSE = 0.5, 5.0


class Confirming:
    """Waits for items.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: float) -> None:
        self._wanted: dict[int, Wanted] = {}
        self._queue = ConfirmQueue()
        self._holes: dict[int, str] = {}
        self._trouble = ""
        self._scores: dict[int, tuple[Score, ...]] = {}
        self._equal: dict[tuple[Score, ...], tuple[Score, ...]] = {}
        self._hurry = False
        self._pause = PAUSE
        self._rests_until = now
        self._company_until = now + PAUSE

    # -- what is wanted ------------------------------------------------------------------------------

    def want(self, items: dict[int, Wanted]) -> None:
        """Ask for these too."""
        self._wanted.update(items)
        self._queue.add(items)

    def forget(self, item: int) -> None:
        """Do not ask for this one any more."""
        self._wanted.pop(item, None)
        self._holes.pop(item, None)
        self._queue.drop(item)

    def hurry(self) -> None:
        """Do not wait for company any more."""
        self._hurry = True

    @property
    def waiting(self) -> int:
        """How many items have not come back yet."""
        return len(self._wanted)

    def missed(self) -> Missed:
        """Return what has not come back, with what is missing of it."""
        unasked = self._trouble or "it was not asked for in time"
        return Missed({item: self._holes.get(item, unasked) for item in self._wanted})

    def scores(self) -> dict[int, tuple[Score, ...]]:
        """Return, for every item that came back with scores, those of its root run."""
        return dict(self._scores)

    # -- a pass --------------------------------------------------------------------------------------

    def due(self, now: float) -> float:
        """Return in how many seconds there is a pass, 0 for now: a full one, or a part that had no company."""
        if now < self._rests_until:
            return self._rests_until - now
        ready = self._queue.ready(now)
        if ready >= PASS or (self._hurry and ready > 0):
            return 0.0
        return max(0.0, self._company_until - now)

    def take(self, now: float) -> dict[int, Wanted]:
        """Return the items to ask for; none, and then the next ones wait for company again."""
        self._company_until = now + PAUSE
        return {item: self._wanted[item] for item in self._queue.take(PASS, self._wanted.__contains__, now)}

    def fail(self, batch: dict[int, Wanted], why: str) -> Found:
        """Take in that the experiment cannot be read: nobody came back, and that is what is missing of all."""
        self._trouble = why
        return Found(holes=dict.fromkeys(batch, why))

    def seen(self, batch: dict[int, Wanted], found: Found) -> list[int]:
        """Return the items that came back by this answer; they wait until `settle` is told of it.

        One that was forgotten, or is wanted under other ids, since it was asked for has no answer by this.
        """
        return sorted(item for item in self._meant(batch) if item in found.seen)

    def settle(self, batch: dict[int, Wanted], found: Found, now: float) -> None:
        """Take in an answer. Items of which nothing came back are asked for again, later each time."""
        meant = self._meant(batch)
        for item in meant:
            if item in found.seen:
                self.forget(item)
                if batch[item].feedback:
                    self._scores[item] = self._one_of_equals(found.seen[item])
        left = [item for item in meant if item in found.holes]
        self._holes.update((item, found.holes[item]) for item in left)
        self._queue.again(left, now, alone=found.unreadable.intersection(left))

    def rest(self, now: float, *, seen: bool) -> None:
        """After a pass that has seen nothing the next one waits, longer each time."""
        if seen:
            self._pause = PAUSE
        else:
            self._rests_until = now + min(LONGEST_PAUSE, self._pause)
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        self._company_until = max(now, self._rests_until) + PAUSE

    def can_read(self) -> None:
        """Take in that the experiment can be read."""
        self._trouble = ""

    def _meant(self, batch: dict[int, Wanted]) -> list[int]:
        return [item for item, wanted in batch.items() if self._wanted.get(item) == wanted]

    def _one_of_equals(self, scores: tuple[Score, ...]) -> tuple[Score, ...]:
        """Return equal scores as one object: most of a hundred thousand are a few numbers under a few keys."""
        try:
            return self._equal.setdefault(scores, scores)
        except TypeError:  # a value that is a list or an object
            return scores
