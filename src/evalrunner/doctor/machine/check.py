"""One thing that was looked at, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Status(str, Enum):
    """How a check stands; the order is that of their weight.

    A NOTE is worth knowing and harms nothing by itself. A WARNING costs traces, or a run, under a condition that the
    remedy names. A FAILURE means that `evalrunner run` cannot work here.
    """

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Check:
    """One line of the examination.

    Attributes:
        code: stable, for programmes.
        status: how it stands.
        seen: what was seen, in words.
        remedy: what to do, for whatever is not ok.
    """

    code: str
    status: Status
    seen: str
    remedy: str = ""

    def __post_init__(self) -> None:
        assert bool(self.remedy) == (self.status is not Status.OK), f"{self.code}: a remedy if it is not ok"


@dataclass(frozen=True)
class Group:
    """Checks of one subject, in the order in which they are told."""

    title: str
    checks: tuple[Check, ...]
