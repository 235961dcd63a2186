"""What the supervisor shows while it works: snapshots, and lines worth a timestamp."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class WorkerView:
    """One worker as seen from outside.

    Attributes:
        slot: 0 .. workers-1; a replacement takes the slot of the dead.
        item: what it is executing, as `example id[:8]` or `example id[:8] #repetition`, or "".
        rss: resident memory in bytes, 0 if not known.
    """

    slot: int
    pid: int
    state: str
    item: str
    done: int
    rss: int


@dataclass(frozen=True)
class Snapshot:
    """The run at one moment; counts are items of this run's plan.

    Attributes:
        phase: `starting`, `running`, `draining`, `confirming`, `done`.
        planned: items to execute in this run.
        complete_before: items of the experiment that were complete already.
        rate: items produced per second, over the last seconds.
        eta: seconds left, or None while it cannot be told.
        errors: items whose target raised.
        stops: how often the user has asked for an end.
        note: one short sentence about what holds things up ("server answers 503; next try in 4 s"), or "".
    """

    phase: str
    planned: int
    complete_before: int
    produced: int
    accepted: int
    visible: int
    failed: int
    errors: int
    restarts: int
    rate: float
    eta: float | None
    elapsed: float
    note: str = ""
    stops: int = 0
    workers: tuple[WorkerView, ...] = field(default_factory=tuple)


class Observer(Protocol):
    """Somebody who watches. Called from the supervisor's loop: return at once."""

    def snapshot(self, view: Snapshot) -> None:
        """See the run as it is now (a few times a second)."""

    def line(self, text: str) -> None:
        """Hear of something worth a line: a worker died, the server refuses, an item failed for good."""


class Silent:
    """An observer that looks away."""

    def snapshot(self, view: Snapshot) -> None:
        """Do nothing."""

    def line(self, text: str) -> None:
        """Do nothing."""
