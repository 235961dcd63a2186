"""The only module that reads the time, so that a test can own it.

`monotonic` serves every deadline and interval; `utcnow` serves what is shown or stored.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Protocol


class Clock(Protocol):
    """What the code may ask of time."""

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""

    def utcnow(self) -> datetime:
        """Return the wall clock, aware, in UTC."""


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def utcnow(self) -> datetime:
        return datetime.now(timezone.utc)


SYSTEM: Clock = SystemClock()


class ManualClock:
    """A clock that stands still until it is moved, for tests and simulations."""

    def __init__(
        self, seconds: float = 1000.0, start: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc)
    ) -> None:
        self._now = self._began = seconds
        self._start = start

    def monotonic(self) -> float:
        return self._now

    def utcnow(self) -> datetime:
        return self._start + timedelta(seconds=self._now - self._began)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
