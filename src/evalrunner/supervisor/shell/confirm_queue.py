"""Who is asked for next: items in the order in which they were accepted. Pure; its owner holds a lock.

What did not come back waits twice as long each time. At first it then stands before what was accepted after it:
where a service shows runs late, whoever asks for the oldest first asks least. Later it stands behind the others: it
may never come, and must not hold them up.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable

#: Seconds until an item that did not come back is asked for again: the first time, and at most.
FIRST_WAIT, LONGEST_WAIT = 0.5, 5.0
#: So often an item goes before those that were accepted after it.
FIRST = 2


class ConfirmQueue:
    """Items that wait to be asked for, each once."""

    def __init__(self) -> None:
        self._ready: deque[int] = deque()
        self._there: set[int] = set()
        self._later: list[tuple[float, int, int, list[int]]] = []  # (due, number, tries, items)
        self._tries: dict[int, int] = {}
        self._alone: set[int] = set()
        self._groups = 0

    def add(self, items: Iterable[int]) -> None:
        """Put new ones at the end."""
        for item in items:
            if item not in self._there:
                self._there.add(item)
                self._ready.append(item)

    def again(self, items: Iterable[int], now: float, *, alone: Iterable[int] = ()) -> None:
        """Put back what did not come back; those in `alone` will be asked for one by one."""
        self._alone.update(alone)
        groups: dict[int, list[int]] = {}
        for item in items:
            if item not in self._there:
                tries = self._tries[item] = self._tries.get(item, 0) + 1
                self._there.add(item)
                groups.setdefault(tries, []).append(item)
        for tries, group in groups.items():
            self._groups += 1
            due = now + min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries - 1, 10))
            heapq.heappush(self._later, (due, self._groups, tries, group))

    def drop(self, item: int) -> None:
        """Forget what is known of an item; one that still stands in the line is passed over by `take`."""
        self._tries.pop(item, None)
        self._alone.discard(item)

    def ready(self, now: float) -> int:
        """Return how many could be asked for now."""
        while self._later and self._later[0][0] <= now:
            _, _, tries, group = heapq.heappop(self._later)
            if tries <= FIRST:
                self._ready.extendleft(reversed(group))
            else:
                self._ready.extend(group)
        return len(self._ready)

    def take(self, most: int, wanted: Callable[[int], bool], now: float) -> list[int]:
        """Take the next ones that are still wanted: at most so many, or one that is asked for alone."""
        self.ready(now)
        taken: list[int] = []
        while self._ready and len(taken) < most:
            item = self._ready[0]
            alone = item in self._alone
            if alone and taken and wanted(item):
                break
            self._there.discard(self._ready.popleft())
            if wanted(item):
                taken.append(item)
                if alone:
                    break
        return taken
