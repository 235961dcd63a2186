"""Summary evaluators of every signature and every kind of answer, and some that write down what they saw."""

from __future__ import annotations

import json
from typing import Any

from diff_judges import shape  # type: ignore[import-not-found]
from langsmith import traceable
from langsmith.evaluation import EvaluationResult, EvaluationResults
from langsmith.schemas import Example, Run

JSON = dict[str, Any]


def _of_run(run: Run) -> JSON:
    below = [_of_run(child) for child in run.child_runs or []]
    return {"outputs": shape(run.outputs), "type": run.run_type, "failed": bool(run.error), "below": below}


def saw(runs: list[Run], examples: list[Example]) -> JSON:
    """Write down what it sees of the runs, their children, and whether the examples are theirs."""
    paired = all(run.reference_example_id == example.id for run, example in zip(runs, examples, strict=True))
    seen = sorted(json.dumps(_of_run(run), sort_keys=True) for run in runs)
    return {"key": "saw", "score": paired, "comment": json.dumps(seen)}


def counts_children(runs: list[Run], examples: list[Example]) -> JSON:
    return {"key": "children", "score": sum(len(run.child_runs or []) for run in runs)}


def by_name(outputs: list[JSON], reference_outputs: list[JSON], inputs: list[JSON]) -> JSON:
    return {"key": "by_name", "score": len(outputs) + len(reference_outputs) + len(inputs)}


def kw_only(*, outputs: list[JSON]) -> JSON:
    return {"key": "kw_only", "score": len(outputs)}


def other_names(predictions: Any, references: Any) -> JSON:
    return {"key": "other_names", "score": len(predictions), "comment": type(references[0]).__name__}


class Called:
    """An object that can be called."""

    def __call__(self, runs: list[Run], examples: list[Example]) -> JSON:
        return {"key": "called", "score": 1}


called = Called()
a_lambda = lambda outputs: {"key": "a_lambda", "score": 1}


@traceable
def traced(runs: list[Run], examples: list[Example]) -> JSON:
    return {"key": "traced", "score": 1}


def gives_real(outputs: list[JSON]) -> Any:
    return 0.5


def gives_truth(outputs: list[JSON]) -> Any:
    return True


def gives_text(outputs: list[JSON]) -> Any:
    return "good"


def gives_no_key(outputs: list[JSON]) -> Any:
    return {"score": 1, "value": "v", "comment": "c"}


def gives_list(outputs: list[JSON]) -> Any:
    return [{"key": "first", "score": 1}, {"key": "second", "score": 0}]


def gives_one_key_twice(outputs: list[JSON]) -> Any:
    return [{"key": "twice", "score": 1}, {"key": "twice", "score": 0}]


def gives_everything(runs: list[Run], examples: list[Example]) -> Any:
    return EvaluationResult(
        key="full",
        score=0.25,
        value={"grade": "C"},
        comment="in full",
        correction={"answer": "better"},
        evaluator_info={"model": "m"},
        extra={"more": 1},
    )


def gives_results(runs: list[Run], examples: list[Example]) -> Any:
    return EvaluationResults(results=[EvaluationResult(key="third", score=1), EvaluationResult(key="fourth")])


def gives_none(outputs: list[JSON]) -> Any:
    return None


def raises(runs: list[Run], examples: list[Example]) -> Any:
    raise RuntimeError("summary quota exceeded")
