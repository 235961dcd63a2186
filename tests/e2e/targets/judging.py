"""Evaluators whose keys are not what their source says, that fail, or have nothing to say; targets beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import langsmith
from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator
from langsmith.run_helpers import get_current_run_tree
from langsmith.schemas import Example, Run

JSON = dict[str, Any]


def note(what: str, number: int) -> None:
    """Write down that something was called, for the test to count."""
    path = Path(os.environ["EXECUTIONS"]).with_name(what)
    with path.open("a") as file:
        file.write(f"{number}\n")


def target(inputs: JSON) -> JSON:
    """Add one."""
    note("target", inputs["i"])
    return {"sum": inputs["i"] + 1, "i": inputs["i"]}


def scores_itself(inputs: JSON) -> JSON:
    """Post a score from inside."""
    run = get_current_run_tree()
    assert run is not None
    langsmith.Client().create_feedback(run.id, "own", score=1, trace_id=run.trace_id)
    run.client.create_feedback(run.id, "thumb", score=1, trace_id=run.trace_id, session_id=None)
    return target(inputs)


def _broken(number: int) -> bool:
    mended = Path(os.environ["EXECUTIONS"]).with_name("mended")
    return not mended.exists() and os.environ.get("BREAKS", "all") in ("all", str(number % 3))


def judge(inputs: JSON, outputs: JSON) -> JSON:
    """Be out of quota until a file says otherwise; the key is no literal, and not the function's name."""
    note("judge", inputs["i"])
    if _broken(inputs["i"]):
        raise RuntimeError("judge quota exceeded")
    return {"key": "_".join(["answer", "quality"]), "score": outputs["sum"]}


def exact(outputs: JSON, inputs: JSON) -> bool:
    """Be right."""
    note("exact", inputs["i"])
    return bool(outputs["sum"] == inputs["i"] + 1)


def bare_list(outputs: JSON) -> list[JSON]:
    """Give a bare list."""
    return [{"key": name, "score": index} for index, name in enumerate(("first", "second"))]


def sometimes(outputs: JSON, inputs: JSON) -> JSON:
    """Have something to say about every second item."""
    note("sometimes", inputs["i"])
    return {"results": [{"key": "even", "score": 1}] if inputs["i"] % 2 == 0 else []}


class Never(RunEvaluator):
    """Have nothing to say."""

    def evaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: Any = None
    ) -> EvaluationResult | EvaluationResults:
        """Say nothing."""
        return EvaluationResults(results=[])


never = Never()


def summary(runs: list[Run], examples: list[Example]) -> JSON:
    """Fail."""
    raise RuntimeError("no summary today")


class Mute(Exception):
    """Cannot be printed."""

    def __repr__(self) -> str:
        raise ValueError("no words")

    __str__ = __repr__


def mute(outputs: JSON) -> bool:
    """Raise what cannot be printed."""
    raise Mute


def odd(outputs: JSON, inputs: JSON) -> Any:
    """Give what no service can take, another thing for each item."""
    return ODD[inputs["i"] % len(ODD)]


LOOP: JSON = {}
LOOP["loop"] = LOOP
ODD: list[Any] = [
    float("nan"),
    float("inf"),
    1e300,
    10**400,
    {"key": "", "score": 1},
    {"key": "\ud800", "score": 1},
    {"key": "k" * 100_000, "score": 1},
    2**70,
    {"key": "k", "score": "word"},
    {"key": "k", "score": 1j},
    {"key": "k", "value": {"n": 10**400}},
    {"key": "k", "value": LOOP},
    {"key": "k", "score": 1, "target_run_id": "none"},
    {"key": "k", "score": 1, "source_run_id": "none"},
    {"results": [{"key": "good", "score": 1}, {"key": "bad", "score": float("nan")}]},
    {"key": 5, "score": 1},
    {"key": "k", "score": 1, "comment": 5},
    {"key": "k", "score": 1, "no such field": 5},
]


def sees(run: Run, example: Example) -> JSON:
    """Say what there is to see."""
    children = [(child.name, child.outputs, child.error) for child in run.child_runs or []]
    outputs = dict(sorted((run.outputs or {}).items()))
    return {"key": "sees", "score": 1, "comment": repr((outputs, run.error, children, example.outputs))}


def raises(inputs: JSON) -> JSON:
    """Fail."""
    raise RuntimeError("no answer today")


def forgives(run: Run, example: Example) -> JSON:
    """Score a failure."""
    return {"key": "forgiven", "score": 0, "comment": (run.error or "none").partition("(")[0]}
