"""How much to give to whom, and when to stop trying. Numbers with their reasons; no state."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Seconds of work that a worker may hold beyond what it executes: covers the way report -> lease (about
#: 50 ms), and is what the tail may lose to an uneven end.
LOOKAHEAD = 0.5
#: Weight of the newest interval in a worker's rate.
SMOOTHING = 0.4


@dataclass(frozen=True)
class Policy:
    """The rules of one run.

    Attributes:
        workers: processes wanted.
        max_attempts: deaths after which an item is given up.
        item_timeout: seconds that an item may be executed, or None.
        setup_timeout: seconds that a worker may take to load target and evaluators.
        end_timeout: seconds that a worker may take from its last item to its end: tear-down, drain, sync.
        stop_timeout: seconds that workers may take to their end when the run was stopped.
        settle_timeout: seconds that one may still take to set up and tear down when it is not needed any more.
        items_end: when the last item must have ended (monotonic seconds): what does not fit before is not begun.
        assumed: seconds that an item is taken to need, for that, as long as none has ended.
    """

    workers: int
    max_attempts: int = 2
    item_timeout: float | None = None
    setup_timeout: float = 600.0
    end_timeout: float = 180.0
    stop_timeout: float = math.inf
    settle_timeout: float = 10.0
    items_end: float = math.inf
    assumed: float = 0.0

    @property
    def futile_deaths(self) -> int:
        """How many workers may die in a row without anything being produced in between."""
        return 2 * self.workers + 3


def window(concurrency: int, rate: float, ready: int, workers: int) -> int:
    """Return how many items a worker may hold.

    Args:
        concurrency: what it executes at once.
        rate: items per second that it produced lately.
        ready: items that nobody has.
        workers: workers that share them.

    An item that takes longer than two seconds is never prefetched: at the end of the run it would wait
    behind another while a worker stands idle.
    """
    ahead = rate * LOOKAHEAD
    prefetch = math.ceil(ahead) if ahead >= 0.25 * concurrency else 0
    share = math.ceil(ready / max(1, workers))
    return max(concurrency, min(concurrency + prefetch, share))


def smoothed(rate: float, items: int, seconds: float) -> float:
    """Return the new rate of a worker that has produced `items` in the last `seconds`."""
    if seconds <= 0:
        return rate
    now = items / seconds
    return now if rate == 0 else rate + SMOOTHING * (now - rate)
