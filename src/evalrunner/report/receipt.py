"""The receipt: what was planned, and what became of every item of it.

It is computed from the ledger's rows and the read-back, never from counters that ran along.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

FORMAT = 1


@dataclass(frozen=True, slots=True)
class ItemEntry:
    """One (example, repetition).

    Attributes:
        state: `visible`, `failed`, `not visible`, `not delivered`, `not run`, `not scored` (its run is there),
            or `already complete`.
        run_id: root run of the attempt that counts, or None.
        error: the target's error, one line; the item is complete, and its score is not.
        reason: why it is not visible, failed, or not delivered.
    """

    example_id: str
    repetition: int
    attempt: int
    run_id: str | None
    state: str
    error: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Books:
    """The three books of this experiment, as counts; the items carry the ids."""

    produced: int
    accepted: int
    visible: int


@dataclass(frozen=True)
class EvaluatorEntry:
    """What one feedback key came to, over every planned item.

    Attributes:
        n: items with a score or a value.
        mean: of the scores, or None where there is no numeric score.
        errors: items where the evaluator failed.
        missing: planned items without any feedback of this key, of which nothing says that they need none.
        of: planned items: n + errors + missing + none.
        values: for categorical feedback, value -> count.
        evaluator: who gave it; None if that is not known (another tool did).
        none: items on which the evaluator ran without an error and gave nothing under this key.
    """

    key: str
    n: int
    mean: float | None
    errors: int
    missing: int
    of: int
    values: dict[str, int] = field(default_factory=dict)
    evaluator: str | None = None
    none: int = 0


@dataclass(frozen=True)
class EvaluatorErrors:
    """One error of one evaluator.

    Attributes:
        error: as `repr` shows it, whole.
        items: where it was raised, as `example id` or `example id #repetition`; the whole experiment for a
            summary evaluator.
        summary: it is a summary evaluator.
    """

    evaluator: str
    error: str
    items: list[str]
    summary: bool = False


@dataclass(frozen=True)
class LooseEntry:
    """One run or score outside the items that has not arrived.

    Attributes:
        kind: `post` or `patch` of a run, or `feedback`.
        name: the run's name, or the feedback's key.
        state: `refused`, `not delivered`, or `not visible`.
    """

    kind: str
    id: str
    name: str
    project: str
    state: str
    reason: str


@dataclass(frozen=True)
class LooseBooks:
    """The books of what belongs to no item, in operations: a background thread's traces, scores on other runs."""

    promised: int = 0
    accepted: int = 0
    visible: int = 0
    missing: list[LooseEntry] = field(default_factory=list)


@dataclass(frozen=True)
class FindingEntry:
    """One warning with its code, which stays the same whatever the text says (the README lists them)."""

    code: str
    text: str


@dataclass(frozen=True)
class WorkerEntry:
    """One worker process that lived: slot, pid, how it ended, what it did."""

    slot: int
    pid: int
    ended: str
    items: int


@dataclass(frozen=True)
class Receipt:
    """The whole account; `verdict` is its one sentence, `command` what goes on from here.

    Attributes:
        loose: what passed our client and belongs to no item.
        executions: how often the target was begun in this run.
        scored: how often a run that was there was scored in this run, without the target.
        findings: the warnings, each with its code.
        other_feedback: feedback on the counting runs that no evaluator gave (a target's own, say): key -> how much.
    """

    experiment: dict[str, Any]
    dataset: dict[str, Any]
    plan: dict[str, Any]
    books: Books
    states: dict[str, int]
    evaluators: list[EvaluatorEntry]
    summary: dict[str, Any]
    items: list[ItemEntry]
    strangers: list[str]
    duplicates: list[ItemEntry]
    workers: list[WorkerEntry]
    restarts: int
    executions: int
    warnings: list[str]
    seconds: dict[str, float]
    versions: dict[str, str]
    complete: bool
    exit_code: int
    verdict: str
    command: str | None
    run_dir: str
    format: int = FORMAT
    evaluator_errors: list[EvaluatorErrors] = field(default_factory=list)
    other_feedback: dict[str, int] = field(default_factory=dict)
    loose: LooseBooks = field(default_factory=LooseBooks)
    scored: int = 0
    findings: list[FindingEntry] = field(default_factory=list)

    def to_json(self) -> bytes:
        """Return it as indented JSON."""
        return orjson.dumps(self, option=orjson.OPT_INDENT_2)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain dictionaries and lists."""
        found: dict[str, Any] = orjson.loads(orjson.dumps(self))  # `asdict` copies every string of every item
        return found
