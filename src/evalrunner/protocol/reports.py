"""What a worker says to the supervisor, in the past tense. Reports travel as JSON, see messages.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.loose import LooseRecord


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
class SettingUp:
    """Worker: a set-up begins that has a tear-down, unless it finds an order now that ends it (worker/main.py)."""


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


@dataclass(frozen=True)
class Summarised:
    """Worker: the summary evaluators' scores are with the service.

    Attributes:
        scores: key -> {"id", "score", "value", "comment"}.
        errors: evaluator's name -> what it raised, one line.
    """

    scores: dict[str, dict[str, Any]]
    errors: dict[str, str]
