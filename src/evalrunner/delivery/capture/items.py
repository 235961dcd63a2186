"""What one attempt of one item has made so far, and the item in whose context code runs."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from evalrunner.delivery.capture.runs import RunBuffer
from evalrunner.delivery.spool.record import Operation
from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.ids import failure_id, feedback_id


@dataclass(frozen=True)
class ScoreTask:
    """An item whose run is there, and that is only to be scored.

    Attributes:
        evaluators: names of those whose turn it is.
        standing: keys under which others have scored the run; a second score there would only stand beside.
        recorded: ids of the runs of its trace.
        trouble: why the run cannot be read, or "".
    """

    evaluators: frozenset[str]
    standing: frozenset[str] = frozenset()
    recorded: frozenset[UUID] = frozenset()
    trouble: str = ""


class ItemTrace:
    """Everything that one attempt of one item has made so far."""

    def __init__(self, item: int, token: int, run_id: UUID) -> None:
        self.task: ScoreTask | None = None
        self.item = item
        self.token = token
        self.run_id = run_id
        self.runs: dict[UUID, RunBuffer] = {}
        self.feedback: list[Operation] = []
        #: Ids of the scores of its own runs: those that the experiment can be asked for.
        self.scores: list[str] = []
        #: The evaluator whose turn it is, or was last.
        self.evaluator = ""
        self.evaluated: list[Evaluated] = []
        self._named: dict[tuple[UUID, str, str], int] = {}

    def own(self) -> list[RunBuffer]:
        """Return the runs of the item's own trace, root first."""
        return [run for run in self.runs.values() if run.trace_id == self.run_id]

    def others(self) -> list[RunBuffer]:
        """Return the runs that belong to the item and lie in other traces (its evaluators')."""
        return [run for run in self.runs.values() if run.trace_id != self.run_id]

    def has(self, run_id: UUID | None) -> bool:
        """Whether a run is of the item's own trace, made now or recorded before."""
        if self.task is not None and run_id in self.task.recorded:
            return True
        run = self.runs.get(run_id) if run_id is not None else None
        return run is not None and run.trace_id == self.run_id

    def unfinished(self) -> list[RunBuffer]:
        """Return the runs that have not ended."""
        return [run for run in self.runs.values() if not run.ended]

    def name_feedback(self, run_id: UUID, key: str, *, judged: bool, failed: bool) -> UUID:
        """Name the next score for `run_id` under `key`: the current evaluator's if it was `judged`.

        What code posts by itself (a target, or an evaluator beside its result) is nobody's.
        """
        evaluator = self.evaluator if judged else ""
        if judged and failed:
            return failure_id(run_id, evaluator, key)
        place = (run_id, evaluator, key)
        index = self._named.get(place, 0)
        self._named[place] = index + 1
        return feedback_id(run_id, evaluator, key, index)


#: The item in whose context code runs: set by the worker, inherited by tasks and executor threads.
CURRENT: ContextVar[ItemTrace | None] = ContextVar("evalrunner_item", default=None)
