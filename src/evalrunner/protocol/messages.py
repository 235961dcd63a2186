"""What supervisor and worker say to each other, as JSON over a pipe.

Nothing here is pickled: a worker runs somebody else's code, and the supervisor must not run what it sends.
Workers report in the past tense, supervisors give orders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union, get_args

import orjson

from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.loose import LooseRecord
from evalrunner.protocol.shapes import checked, numbers

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


@dataclass(frozen=True)
class Summarised:
    """Worker: the summary evaluators' scores are with the service.

    Attributes:
        scores: key -> {"id", "score", "value", "comment"}.
        errors: evaluator's name -> what it raised, one line.
    """

    scores: dict[str, dict[str, Any]]
    errors: dict[str, str]


@dataclass(frozen=True)
class Ready:
    """Worker: target and evaluators are loaded.

    Attributes:
        pid: process id.
        concurrency: how many items it executes at once.
        evaluators: name -> feedback keys that it may give, as the SDK infers them from its source: a guess.
    """

    pid: int
    concurrency: int
    evaluators: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class StartFailed:
    """Worker: it cannot start; `error` is one sentence, `traceback` is for the log.

    Attributes:
        sure: it is the same for every worker: what was named is not there.
    """

    error: str
    traceback: str
    sure: bool = False


@dataclass(frozen=True)
class ProducedItem:
    """An item whose whole trace is durable in the worker's spool.

    Attributes:
        item, token: which lease.
        runs: ids of the trace's runs, root first.
        others: ids of runs in other projects that belong to the item (evaluators' traces).
        feedback: ids of its feedback.
        error: the target's error, one line, or None.
        warnings: sentences about it that belong in the receipt (children that outlived their root, ...).
        seconds: from the target's start to the last evaluator's end.
        evaluated: what became of each evaluator, in the order of their turns.
        segment, seq: where its record lies in the worker's spool.
        scored: the run was there before, and was only scored; `runs` then names its root alone.
    """

    item: int
    token: int
    runs: list[str]
    others: list[str]
    feedback: list[str]
    error: str | None
    warnings: list[str]
    seconds: float
    evaluated: list[Evaluated] = field(default_factory=list)
    segment: int = 1
    seq: int = 0
    scored: bool = False

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> ProducedItem:
        """Read what `orjson.dumps` wrote, in a report or in a spool record's header."""
        evaluated = [Evaluated.from_json(each) for each in facts.get("evaluated", ())]
        return cls(**{**facts, "evaluated": evaluated})


@dataclass(frozen=True)
class Report:
    """Worker: what happened since the last report, by (item, token).

    Attributes:
        withheld: failed, and held back, because it may be the process's fault; with the kind of the error.
    """

    produced: list[ProducedItem] = field(default_factory=list)
    accepted: list[tuple[int, int]] = field(default_factory=list)
    refused: list[tuple[int, int, str]] = field(default_factory=list)
    note: str = ""
    loose: list[LooseRecord] = field(default_factory=list)
    withheld: list[tuple[int, int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Ack:
    """Worker: the generators are consumed, queues are drained. Its last word, and what it acknowledges.

    Where the supervisor has taken in less than this, it believes the spool instead.

    Attributes:
        outside: clients that the target has made for itself; what they sent is in no book.
        undelivered: records that are in the spool and not accepted; the supervisor sends them on.
        trouble: what the target's tear-down raised, and which runs outside the items have no end, one line, or "".
        produced, accepted, refused, loose: how many it has reported to each book in its life.
    """

    outside: int
    undelivered: int
    trouble: str = ""
    produced: int = 0
    accepted: int = 0
    refused: int = 0
    loose: int = 0

    @property
    def books(self) -> tuple[int, ...]:
        """What must have been heard by whoever hears this."""
        return self.produced, self.accepted, self.refused, self.loose


@dataclass(frozen=True)
class Leaving:
    """Worker: it cannot go on and ends itself; `why` continues the sentence "worker 0 ended itself: "."""

    why: str


Message = Union[
    Begin, Lease, Drain, Stop, Retire, Trust, Summarise,
    Ready, StartFailed, Report, Ack, Leaving, Summarised,
]  # fmt: skip
_KINDS: dict[str, type[Any]] = {c.__name__: c for c in get_args(Message)}


def encode(message: Message) -> bytes:
    """Turn a message into bytes for a pipe."""
    return orjson.dumps([type(message).__name__, message], option=orjson.OPT_NON_STR_KEYS)


def decode(data: bytes) -> Message:
    """Turn bytes from a pipe into a message.

    Raises:
        ValueError: the bytes are not a message.
    """
    try:
        kind, body = orjson.loads(data)
        if kind == "Lease":
            return Lease([LeasedItem(**item) for item in body["items"]])
        if kind == "Report":
            return _report(body)
        message: Message = checked(_KINDS[kind](**body))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"these bytes are no message: {error}") from error
    return message


def _report(body: dict[str, Any]) -> Report:
    return checked(  # type: ignore[no-any-return]
        Report(
            produced=[checked(ProducedItem.from_json(p)) for p in body["produced"]],
            accepted=[_lease(each) for each in body["accepted"]],
            refused=[(*_lease(each), str(each[2])) for each in body["refused"]],
            note=body["note"],
            loose=[LooseRecord.from_json(each) for each in body["loose"]],
            withheld=[(*_lease(each), str(each[2])) for each in body["withheld"]],
        )
    )


def _lease(values: Any) -> tuple[int, int]:
    item, token = numbers(values, 2)
    return item, token
