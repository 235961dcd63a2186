"""By how much the times of recorded traces move. Pure; all times are microseconds since the epoch, in UTC.

A service takes runs that began within the last day only. So recorded times move, and how is fixed by the first
upload into a project: ids are made of moved times, and an upload that goes on tomorrow must make the same ones.

    now      one constant for all: the latest end becomes the moment of the first upload
    trace    each trace by a constant of its own: the starts of the traces are drawn together until they fit,
             in the same order; within a trace nothing changes
    delta    the constant that was asked for
    none     nothing moves
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal, cast

from evalrunner.errors import ConfigError, DataError
from evalrunner.transfer.window import RESERVE, WINDOW

Mode = Literal["now", "trace", "none", "delta"]
_MICRO = timedelta(microseconds=1)
SECOND, DAY = 1_000_000, 86_400_000_000
#: Microseconds of the past that a service takes, less what an upload may take until its last run arrives.
ROOM = (WINDOW - RESERVE) // _MICRO
#: What a moved time may be: an id holds its milliseconds since 1970, a datetime ends with the year 9999.
_EARLIEST, _LATEST = 0, 253_402_300_799_999_999
_DELTA = re.compile(r"([+-]?)(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d{1,6})?)s)?", re.ASCII)


@dataclass(frozen=True)
class Extent:
    """The times of all sound traces together.

    Attributes:
        oldest: the first start of a run.
        newest: the last end of one, or start where it has none.
        latest: the last start of a trace.
        longest: how long the longest trace is.
    """

    oldest: int
    newest: int
    latest: int
    longest: int

    @property
    def span(self) -> int:
        """From the first start to the last end."""
        return self.newest - self.oldest


@dataclass(frozen=True)
class Shift:
    """Where a trace that begins at `pivot` goes, and how far apart two starts are then: `scale` of `whole`."""

    mode: Mode
    pivot: int = 0
    to: int = 0
    scale: int = 1
    whole: int = 1

    def of(self, start: int) -> int:
        """Return by how much a trace moves that begins at `start`."""
        return self.to + (start - self.pivot) * self.scale // self.whole - start

    @property
    def constant(self) -> int | None:
        """The constant by which everything moves, if there is one."""
        return self.to - self.pivot if self.scale == self.whole else None

    def to_facts(self) -> dict[str, Any]:
        """Return it for the project's metadata."""
        return asdict(self)

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> Shift:
        """Read it again.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        numbers = {name: int(facts[name]) for name in ("pivot", "to", "scale", "whole")}
        if facts["mode"] not in ("now", "trace", "none", "delta") or numbers["whole"] <= 0:
            raise ValueError
        return cls(cast(Mode, facts["mode"]), **numbers)


def read_shift(text: str) -> tuple[Mode, int]:
    """Read what `--shift` was given; the number is the delta's.

    Raises:
        ConfigError: it is none of the modes, and no delta.
    """
    if text in ("now", "trace", "none"):
        return cast(Mode, text), 0
    found = _DELTA.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"--shift takes now, trace, none, or how far: 36h, -2d12h, +90m, 1.5s; not {text!r}"
        )
    sign, days, hours, minutes, seconds = found.groups()
    try:
        size = timedelta(days=int(days or 0), hours=int(hours or 0), minutes=int(minutes or 0))
    except (OverflowError, ValueError):
        raise ConfigError(f"--shift {text[:40]} is further than time goes") from None
    whole, _, fraction = (seconds or "0").partition(".")
    micros = size // _MICRO + int(whole) * SECOND + int(fraction.ljust(6, "0") or 0)
    return "delta", -micros if sign == "-" else micros


def choose(mode: Mode, delta: int, extent: Extent, now: int) -> Shift:
    """Fix the shift of a first upload.

    Args:
        now: when it begins.

    Raises:
        ConfigError: the interval leads out of the calendar.
        DataError: the traces lie further apart than a service takes.
    """
    if mode == "none":
        return Shift("none")
    if mode == "delta":
        if not _EARLIEST <= extent.oldest + delta <= extent.newest + delta <= _LATEST:
            raise ConfigError(
                "--shift moves the traces to where no calendar goes: before 1970, or after 9999"
            )
        return Shift("delta", to=delta)
    if mode == "now":
        return _to_now(extent, now)
    room = ROOM - extent.longest
    apart = extent.latest - extent.oldest
    scale, whole = (1, 1) if apart <= max(room, 0) else (max(room, 1), apart)
    return Shift("trace", extent.latest, now - extent.longest, scale, whole)


def _to_now(extent: Extent, now: int) -> Shift:
    if extent.span > ROOM:
        raise DataError(
            f"the traces span {spelt(extent.span)}, and a service takes runs of the last 24 hours: --shift trace "
            "moves each trace by its own constant, in their order; --shift none leaves them alone; nothing was sent"
        )
    # Whole seconds: the constant is read by people.
    return Shift("now", to=(now - extent.newest) // SECOND * SECOND)


def spelt(micros: int) -> str:
    """Say a length of time."""
    return str(timedelta(seconds=abs(micros) // SECOND))
