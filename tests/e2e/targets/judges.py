"""Evaluators in every form that the SDK takes, and some that misbehave."""

from __future__ import annotations

import sys
from typing import Any

from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator
from langsmith.schemas import Example, Run

JSON = dict[str, Any]


def right(outputs: JSON, reference_outputs: JSON) -> bool:
    """Give a bare truth value."""
    return bool(outputs.get("sum", outputs.get("output")) == reference_outputs["i"] + 1)


def by_run(run: Run, example: Example | None) -> JSON:
    """Take the run and its example."""
    assert example is not None
    return {"key": "by_run", "score": len(run.child_runs or []), "comment": str(example.id)}


async def by_values(inputs: JSON, outputs: JSON, reference_outputs: JSON) -> JSON:
    """Take values, and await."""
    return {"key": "by_values", "score": inputs["i"] == reference_outputs["i"]}


def several(run: Run, example: Example) -> JSON:
    """Give three scores at once, one of them a word."""
    scores = [
        {"key": "several_a", "score": 1},
        {"key": "several_b", "score": 0.5},
        {"key": "several_c", "value": "fine"},
    ]
    return {"results": scores}


class Judge(RunEvaluator):
    """The SDK's own base class."""

    def evaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: Any = None
    ) -> EvaluationResult | EvaluationResults:
        """Score it."""
        return EvaluationResult(key="judge", score=1)


judge = Judge()


def raises(outputs: JSON) -> bool:
    """Fail for every third item."""
    if outputs["sum"] % 3 == 0:
        raise ValueError("this evaluator does not like it")
    return True


def leaves(outputs: JSON) -> bool:
    """Try to end the process for every third item."""
    if outputs["sum"] % 3 == 0:
        sys.exit(7)
    return True


def silent(outputs: JSON) -> None:
    """Give nothing."""


def length_of_the_note(outputs: JSON, attachments: JSON) -> int:
    """Read what is attached to the example."""
    return len(attachments["note"]["reader"].read())


def total(runs: list[Run], examples: list[Example]) -> JSON:
    """Sum up the experiment."""
    assert len(runs) == len(examples)
    return {"key": "total", "score": sum((run.outputs or {}).get("sum", 0) for run in runs)}


def share(outputs: list[JSON], reference_outputs: list[JSON]) -> float:
    """Sum up the experiment by its values."""
    pairs = zip(outputs, reference_outputs, strict=True)
    return sum(bool(o.get("sum") == r["i"] + 1) for o, r in pairs) / len(outputs)


def summary_that_raises(runs: list[Run], examples: list[Example]) -> JSON:
    """Fail."""
    raise RuntimeError("no summary today")
