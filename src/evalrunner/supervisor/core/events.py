"""What can happen to a supervisor: the facts that its judgment is told. Facts in, orders out; see state.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

from evalrunner.protocol.loose import LooseRecord
from evalrunner.protocol.reports import ProducedItem, Report


@dataclass(frozen=True)
class WorkerStarted:
    """A process was started in a slot."""

    worker: int
    slot: int


@dataclass(frozen=True)
class WorkerSetsUp:
    """A set-up has begun in it, to which a tear-down belongs."""

    worker: int


@dataclass(frozen=True)
class WorkerReady:
    """Its target and evaluators are loaded."""

    worker: int
    concurrency: int


@dataclass(frozen=True)
class WorkerCouldNotStart:
    """Its target or evaluators cannot be loaded; `error` is one sentence.

    Attributes:
        sure: no other worker can load them either: there is no such name.
    """

    worker: int
    error: str
    sure: bool = False


@dataclass(frozen=True)
class Begun:
    """The experiment exists: leases may be given."""


@dataclass(frozen=True)
class Executing:
    """What a worker is executing, as its board says: item -> when it began (monotonic seconds)."""

    worker: int
    items: dict[int, float]


@dataclass(frozen=True)
class Reported:
    """A worker says what it did."""

    worker: int
    report: Report


@dataclass(frozen=True)
class Acknowledged:
    """A worker has drained and said so."""

    worker: int


@dataclass(frozen=True)
class WorkerGone:
    """A worker is known dead, and its spool has been read.

    Attributes:
        how: in words.
        suspects: items that it was executing when it died.
        spooled: items whose whole trace is in its spool.
    """

    worker: int
    how: str
    suspects: frozenset[int] = frozenset()
    spooled: tuple[ProducedItem, ...] = ()


@dataclass(frozen=True)
class SentOn:
    """The supervisor's own sender has brought out what lay in a dead worker's spool."""

    accepted: tuple[tuple[int, int], ...] = ()
    refused: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True)
class LooseNews:
    """News of records that belong to no item; the state does not judge them.

    Attributes:
        spool: stem of the name of the spool that they lie in.
    """

    spool: str
    records: tuple[LooseRecord, ...]


@dataclass(frozen=True)
class Seen:
    """Items whose every id came back from the experiment."""

    items: tuple[int, ...]


@dataclass(frozen=True)
class Missed:
    """Items that did not come back by the deadline: item -> what is missing."""

    items: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ErrorRunWritten:
    """An error run was written for an item that nothing could execute."""

    made: ProducedItem


@dataclass(frozen=True)
class StopAsked:
    """It is to end, as somebody wishes or because its job ends.

    Attributes:
        by_clock: because its job ends: what has begun has until then.
    """

    by_clock: bool = False


@dataclass(frozen=True)
class Renamed:
    """The experiment has another name now."""

    old: str
    new: str


@dataclass(frozen=True)
class ExperimentGone:
    """The experiment was deleted; `dataset`: and its dataset with it."""

    name: str
    dataset: bool = False


@dataclass(frozen=True)
class TakenOver:
    """Another command has taken the experiment over; `by`: who that is."""

    by: str


@dataclass(frozen=True)
class DatasetGone:
    """The dataset was deleted, and the experiment is still there."""


@dataclass(frozen=True)
class Paused:
    """Nobody could look for so many seconds: the whole job was suspended, or this process was."""

    seconds: float


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = Union[
    WorkerStarted, WorkerSetsUp, WorkerReady, WorkerCouldNotStart, Begun, Executing, Reported,
    Acknowledged, WorkerGone, SentOn, LooseNews, Seen, Missed, ErrorRunWritten, StopAsked, Renamed,
    ExperimentGone, TakenOver, DatasetGone, Paused, Tick,
]  # fmt: skip
