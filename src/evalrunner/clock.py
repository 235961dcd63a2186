"""The only module that reads the time, so that a test can own it.

`monotonic` serves every deadline and interval; `utcnow` serves what is shown or stored.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
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
