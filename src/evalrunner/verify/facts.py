"""What is known of a run when it has ended, as plain data: the receipt is computed from this and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from evalrunner.config import RunConfig
from evalrunner.protocol.reports import Ready
from evalrunner.protocol.rows import ItemRow, LooseRow, WorkerRow
from evalrunner.verify.codes import Finding
from evalrunner.verify.readback import Score
from evalrunner.verify.reconcile import Assignment, Key


class Need(Enum):
    """What a plan finds that an item needs, or why it is left alone."""

    RUN = auto()
    RUN_AGAIN = auto()
    WHOLE_TRACE = auto()
    SCORES = auto()
    REFUSED = auto()
    UNREADABLE = auto()
    FAILED = auto()
    NOTHING = auto()


@dataclass
class Summary:
    """What the summary evaluators came to.

    Attributes:
        scores: key -> {"score", "value", "comment", "visible"}.
        errors: evaluator -> what went wrong, one line.
    """

    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """What was to be done.

    Attributes:
        before: what was complete already.
        needs: how many items need what.
        checked: what target and evaluators were found to be, of a plan.
    """

    examples: int
    repetitions: int
    before: frozenset[Key]
    to_run: int
    to_score: int
    needs: Mapping[Need, int]
    splits: tuple[str, ...] = ()
    limit: int | None = None
    checked: Ready | None = None


@dataclass(frozen=True)
class Ending:
    """How the run ended, as far as the verdict depends on it.

    Attributes:
        experiment, dataset: their names.
        made: the experiment exists.
        stopped: the user asked for an end.
        gone: that the experiment was deleted while the run went on, or "".
        taken: which command has taken the experiment over, or "".
        more: complete runs beyond the planned ones.
    """

    config: RunConfig
    experiment: str
    dataset: str
    made: bool = True
    plan_only: bool = False
    stopped: bool = False
    gone: str = ""
    taken: str = ""
    more: int = 0


@dataclass(frozen=True)
class Scores:
    """The scores of the planned items.

    Attributes:
        mine: run id -> those that came back during this run, with all of it.
        others: those that the last look read.
        known: there is anything to sum up; False if the service told none at all.
        asked: the last look was answered.
    """

    mine: Mapping[str, Sequence[Score]] = field(default_factory=dict)
    others: Sequence[Score] = ()
    known: bool = False
    asked: bool = False


@dataclass(frozen=True)
class RunFacts:
    """All of it.

    Attributes:
        session: number of this run of the command.
        experiment, dataset: as the receipt has them.
        rows: of the planned items, in the dataset's order.
        found: what the last look saw, or None if the experiment could not be read, or was not.
        scores: None where nothing is to be summed up: a plan, a deleted experiment.
        guessed: evaluator -> keys that it is guessed to give.
        loose: what belongs to no item.
        workers: of this run, each with the items that count as made by it.
        executions, scorings: how often the target was begun, a recorded run scored.
        findings: what belongs in the receipt, as far as the supervisor knows it.
        seconds: what took how long.
    """

    ending: Ending
    session: int
    experiment: dict[str, Any]
    dataset: dict[str, Any]
    plan: Planned
    rows: Sequence[ItemRow]
    found: Assignment | None
    scores: Scores | None
    guessed: Mapping[str, Sequence[str]]
    loose: Sequence[LooseRow]
    workers: Sequence[tuple[WorkerRow, int]]
    executions: int
    scorings: int
    restarts: int
    summary: Summary
    findings: Sequence[Finding]
    seconds: Mapping[str, float]
    run_dir: str
