"""What can happen to a supervisor, and what it can order. Facts in, orders out; see state.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.loose import LooseRecord
from evalrunner.protocol.messages import ProducedItem, Report

# -- events ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WorkerStarted:
    """A process was started in a slot."""

    worker: int
    slot: int


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
    """The user wants it to end."""


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
class DatasetGone:
    """The dataset was deleted, and the experiment is still there."""


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = Union[
    WorkerStarted, WorkerReady, WorkerCouldNotStart, Begun, Executing, Reported, Acknowledged, WorkerGone,
    SentOn, LooseNews, Seen, Missed, ErrorRunWritten, StopAsked, Renamed, ExperimentGone, DatasetGone, Tick,
]  # fmt: skip

# -- instructions ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grant:
    """One item for one worker; `score`: its run is there, and is only to be scored."""

    item: int
    token: int
    attempt: int
    score: bool = False
    final: bool = False


@dataclass(frozen=True)
class StartWorker:
    """Start a process in this slot."""

    slot: int


@dataclass(frozen=True)
class SendBegin:
    """Tell a worker which experiment it is."""

    worker: int


@dataclass(frozen=True)
class SendLease:
    """Hand items to a worker; they are written down first."""

    worker: int
    grants: tuple[Grant, ...]


@dataclass(frozen=True)
class SendDrain:
    """Tell a worker that no more will come."""

    worker: int


@dataclass(frozen=True)
class SendStop:
    """Tell a worker to finish what it has started, and no more."""

    worker: int


@dataclass(frozen=True)
class SendRetire:
    """Tell a worker that its process seems spoilt: it ends, and what it holds back is tried elsewhere."""

    worker: int


@dataclass(frozen=True)
class SendTrust:
    """Tell a worker that failures of these kinds are the items' own."""

    worker: int
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class KillWorker:
    """Kill a worker.

    Attributes:
        stack: have it write its stacks first: it is stuck, and somebody will want to know where.
    """

    worker: int
    why: str
    stack: bool = False


@dataclass(frozen=True)
class Write:
    """Write an item's move to the ledger.

    Attributes:
        made: for PRODUCED: what was made, and by which worker.
    """

    item: int
    state: ItemState
    what: str
    worker: int | None = None
    token: int | None = None
    attempt: int | None = None
    deaths: int | None = None
    reason: str | None = None
    made: ProducedItem | None = None


@dataclass(frozen=True)
class Tell:
    """Write down an event that moves nothing (a late report, say)."""

    item: int | None
    worker: int | None
    token: int | None
    what: str


@dataclass(frozen=True)
class WriteErrorRun:
    """Write an error run for an item: its workers died, and there will be no other attempt.

    With `score` it has a run, and what is written is that its evaluators failed.
    """

    item: int
    token: int
    attempt: int
    reason: str
    score: bool = False


@dataclass(frozen=True)
class Say:
    """Say this to whoever watches."""

    text: str


@dataclass(frozen=True)
class Warn:
    """Say this, and put it into the receipt."""

    text: str


@dataclass(frozen=True)
class Abort:
    """Nothing can be executed at all; `error` is one sentence."""

    error: str


Instruction = Union[
    StartWorker, SendBegin, SendLease, SendDrain, SendStop, SendRetire, SendTrust, KillWorker, Write, Tell,
    WriteErrorRun, Say, Warn, Abort,
]  # fmt: skip
