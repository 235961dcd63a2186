"""The sender's memory of an outage: how long the service has failed, how much longer it may, what people are told."""

from __future__ import annotations

import math
from collections import deque

#: Seconds that a request gets at least, however near the deadline is.
SHORTEST_TRY = 1.0
#: From how many of the latest requests the likelihood of a failure is told.
SAMPLE = 20
#: Seconds between two notes of the same kind.
NOTE_INTERVAL = 1.0


class Breaker:
    """Failures in a row, whatever was sent.

    Args:
        deadline: seconds without any final answer after which there is no more patience.

    Attributes:
        failures: how many in a row.
        answered: final answers so far.
        gave_up: the deadline passed, and there has been no final answer since.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.failures = 0
        self.answered = 0
        self.gave_up = False
        self._since: float | None = None
        self._sample: deque[bool] = deque(maxlen=SAMPLE)
        self._changed_its_mind = -math.inf  # after how many final answers

    @property
    def failing(self) -> float:
        """How likely the service is to fail at anything: Laplace's rule of succession over the sample.

        0 unless it has of late taken the very bytes that it had failed at before.
        """
        if self.answered - self._changed_its_mind > SAMPLE:
            return 0.0
        return (self._sample.count(False) + 1) / (len(self._sample) + 2)

    def sample(self, final: bool) -> None:
        """Note whether something got a final answer of which nothing is known yet."""
        self._sample.append(final)

    def succeeded(self, *, again: bool = False) -> None:
        """Note a final answer; `again` says that the service had failed at the very same bytes."""
        self.failures, self.gave_up, self._since = 0, False, None
        self.answered += 1
        if again:
            self._changed_its_mind = self.answered

    def failed(self, began: float) -> None:
        """Note that a request which began at the monotonic second `began` got none."""
        self.failures += 1
        if self._since is None:
            self._since = began

    def grant(self, seconds: float) -> None:
        """Put the deadline off by what the service has asked to be left alone for."""
        if self._since is not None:
            self._since += seconds

    def left(self, now: float) -> float:
        """Return the seconds until the deadline, which runs from the begin of the first failure in a row."""
        return self.deadline if self._since is None else self._since + self.deadline - now

    def limit(self, now: float, since: float | None = None) -> float:
        """Return the seconds that a request may last; `since` is when a batch of its own deadline first failed.

        After the deadline every batch gets one whole try: a short one could never end an outage on a slow line.
        """
        if since is not None:
            return max(SHORTEST_TRY, since + self.deadline - now)
        return self.deadline if self.gave_up else max(SHORTEST_TRY, self.left(now))

    def too_late(self, why: str) -> str:
        """Say why something is refused when its deadline has passed."""
        return f"not delivered within {self.deadline:g} s: {why}"


class Notes:
    """Lets a note through when it says something new, and at most one a second of the same kind."""

    def __init__(self) -> None:
        self._kind = self._last = ""
        self._at = 0.0

    def say(self, kind: str, rest: str, now: float) -> list[str]:
        """Return `kind` and `rest` if it is to be said; what differs in `rest` alone is of one kind."""
        text = kind + rest
        if text == self._last or (kind == self._kind and now - self._at < NOTE_INTERVAL):
            return []
        self._kind, self._last, self._at = kind, text, now
        return [text]
