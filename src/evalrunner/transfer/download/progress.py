"""How far a download is, with rate and time left: a sentence every few seconds."""

from __future__ import annotations

from collections.abc import Callable

from evalrunner.clock import SYSTEM, Clock
from evalrunner.transfer.download.summary import Downloaded

#: Seconds between two sentences.
EVERY = 5.0


class Progress:
    """Tells `note` how far it is."""

    def __init__(self, note: Callable[[str], None], clock: Clock = SYSTEM) -> None:
        self._note, self._clock = note, clock
        self._told = clock.monotonic()
        self._began: float | None = None

    def listing(self, seen: int) -> None:
        """Runs are being found; how many there are is not known yet."""
        if self._due():
            self._note(f"{seen:,} runs found so far")

    def writing(self, done: Downloaded, total: int) -> None:
        """Runs are being written."""
        now = self._clock.monotonic()
        self._began = now if self._began is None else self._began
        if not self._due():
            return
        rate = done.runs / (now - self._began) if now > self._began else 0.0
        left = f", {duration((total - done.runs) / rate)} left" if rate else ""
        self._note(f"{done.runs:,} of {total:,} runs, {done.bytes / 1e6:,.1f} MB, {rate:,.0f} runs/s{left}")

    def comparing(self, seen: int, total: int) -> None:
        """The project is looked at once more."""
        if self._due():
            self._note(f"compared with what is there now: {min(seen, total):,} of {total:,} runs")

    def _due(self) -> bool:
        now = self._clock.monotonic()
        if now - self._told < EVERY:
            return False
        self._told = now
        return True


def duration(seconds: float) -> str:
    """Return a time span for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
