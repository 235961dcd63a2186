"""How long items take, for what may still be begun before a job's time is over. Pure."""

from __future__ import annotations

from collections import deque

#: Items that are remembered, and the part of them that the usual duration covers.
REMEMBERED, COVERED = 100, 0.9


class Durations:
    """Those of the latest items.

    Args:
        assumed: seconds that an item is taken to need as long as none has ended.
    """

    def __init__(self, assumed: float = 0.0) -> None:
        self._assumed = assumed
        self._last: deque[float] = deque(maxlen=REMEMBERED)
        self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Note how long one took."""
        self._last.append(seconds)
        self._longest = max(self._longest, seconds)

    def fit(self, left: float) -> bool:
        """Tell whether an item usually ends within so many seconds."""
        if not self._last:
            return left > self._assumed
        if left > self._longest:
            return True
        return sorted(self._last)[int(COVERED * (len(self._last) - 1))] <= left
