"""What a supervisor can order: the answers of its judgment, which the shell carries out in order; see state.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import ProducedItem


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
