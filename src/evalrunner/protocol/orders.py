"""What the supervisor says to a worker. Orders travel as JSON, see messages.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Stands in an example in place of what cannot be handed to a worker, and says why; the item then fails by it.
UNFIT = "evalrunner_unfit"


@dataclass(frozen=True)
class LeasedItem:
    """One item handed to one worker.

    Attributes:
        item: the item's number in the ledger.
        token: fencing token of this lease; every report about the item repeats it.
        example: the example as the service's JSON (id, dataset_id, inputs, outputs, metadata, ...).
        repetition: counted from 0.
        attempt: counted from 1.
        run_id: what the root run must be called, or is called.
        evaluators: None to execute the target; else these evaluators are to score the run that is there.
        standing: keys under which others have scored that run; a score under one of them is not recorded.
        final: it counts however it ends: there is no further attempt.
    """

    item: int
    token: int
    example: dict[str, Any]
    repetition: int
    attempt: int
    run_id: str
    evaluators: list[str] | None = None
    standing: list[str] = field(default_factory=list)
    final: bool = False


@dataclass(frozen=True)
class Begin:
    """Supervisor: this is the experiment; open your spool and expect leases.

    Attributes:
        experiment: the experiment as the service's JSON.
        spool: path of the spool file to create.
        board: path of the board file (delivery/inflight.py) to create.
        repetitions: runs per example, for the runs' metadata.
        info: the service's GET /info.
        metadata: what the user says of the runs; the SDK puts it into every one of them.
    """

    experiment: dict[str, Any]
    spool: str
    board: str
    repetitions: int
    info: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Lease:
    """Supervisor: execute these."""

    items: list[LeasedItem]


@dataclass(frozen=True)
class Drain:
    """Supervisor: no more items will come; finish, drain, acknowledge, exit."""


@dataclass(frozen=True)
class Stop:
    """Supervisor: finish what you have started, forget what you have not, drain, acknowledge, exit."""


@dataclass(frozen=True)
class Retire:
    """Supervisor: your process seems spoilt. Forget what you hold back and have not started; then as `Stop`."""


@dataclass(frozen=True)
class Trust:
    """Supervisor: failures of these kinds (protocol/suspicion.py) are the items' own; let them count."""

    kinds: list[str]


@dataclass(frozen=True)
class Summarise:
    """Supervisor, to a worker of that role: run the summary evaluators over these runs, once.

    Attributes:
        runs: id of each root run that counts -> id of its example.
        as_of: the dataset's version.
    """

    experiment: dict[str, Any]
    runs: dict[str, str]
    as_of: str | None
