"""Evaluators of every signature and every kind of answer, and one that writes down what it saw."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from langsmith import traceable
from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator, run_evaluator
from langsmith.schemas import Example, Run

JSON = dict[str, Any]


def shape(value: Any, depth: int = 4) -> Any:
    """Return a value with the names of its types, so that a dictionary and a model are told apart."""
    if isinstance(value, dict) and depth:
        return {f"{type(value).__name__}": {str(key): shape(one, depth - 1) for key, one in value.items()}}
    if isinstance(value, (list, tuple)) and depth:
        return {type(value).__name__: [shape(one, depth - 1) for one in value]}
    return f"{type(value).__name__}:{value!r}"


def _attachments(example: Example) -> Any:
    return {
        name: [one["mime_type"], one["reader"].read().decode()]
        for name, one in sorted((example.attachments or {}).items())
    }


def saw(run: Run, example: Example) -> JSON:
    """Write down everything of the run and the example that an evaluator may look at."""
    seen = {
        "inputs": shape(run.inputs),
        "outputs": shape(run.outputs),
        "error": [bool(run.error), (run.error or "").partition("\n\n")[0]],
        "run_type": run.run_type,
        "name": run.name,
        "tags": run.tags,
        "metadata": {key: str(value) for key, value in sorted((run.metadata or {}).items())},
        "ended": run.end_time is not None,
        "is root": run.trace_id == run.id and run.parent_run_id is None,
        "of example": run.reference_example_id == example.id,
        "example": shape(
            {"inputs": example.inputs, "outputs": example.outputs, "metadata": example.metadata}
        ),
        "example fields": sorted(name for name, value in example.model_dump().items() if value is not None),
        "example url": example.url,
        "attachments": _attachments(example),
    }
    return {"key": "saw", "score": 1, "comment": json.dumps(seen, sort_keys=True, default=repr)}


# -- signatures ------------------------------------------------------------------------------------------


def old_style(run: Run, example: Example) -> JSON:
    return {"key": "old_style", "score": (run.outputs or {}).get("sum", 0)}


def by_name(inputs: JSON, outputs: JSON, reference_outputs: JSON) -> JSON:
    return {"score": outputs.get("sum") == reference_outputs["i"] + 1, "comment": shape_text(inputs)}


def shape_text(value: Any) -> str:
    """Return the shape of a value as text."""
    return json.dumps(shape(value), sort_keys=True)


def one_argument(outputs: JSON) -> bool:
    return bool(outputs)


def kw_only(*, outputs: JSON, inputs: JSON) -> float:
    return len(outputs) / 2


def with_default(outputs: JSON, threshold: float = 0.5) -> JSON:
    return {"score": threshold}


def with_kwargs(outputs: JSON, **kwargs: Any) -> JSON:
    return {"score": 1, "comment": str(sorted(kwargs))}


def other_names(prediction: Any, reference: Any) -> JSON:
    return {"score": 1, "comment": f"{type(prediction).__name__} {type(reference).__name__}"}


def everything(
    run: Run, example: Example, inputs: JSON, outputs: JSON, reference_outputs: JSON, attachments: JSON
) -> JSON:
    return {"score": 1, "comment": shape_text([inputs, outputs, reference_outputs, sorted(attachments)])}


def reads_attachments(attachments: dict[str, Any]) -> JSON:
    found = {name: one["reader"].read().decode() for name, one in sorted(attachments.items())}
    return {"score": len(found), "comment": json.dumps(found)}


async def awaits(outputs: JSON, reference_outputs: JSON) -> JSON:
    await asyncio.sleep(0)
    return {"key": "awaited", "score": 0.25}


@traceable(name="traced judge", tags=["judge"], metadata={"judge": 1})
def traced(run: Run, example: Example) -> JSON:
    return {"key": "traced", "score": 1}


@traceable
async def async_traced(outputs: JSON) -> JSON:
    return {"key": "async_traced", "score": 1}


@run_evaluator
def decorated(run: Run, example: Example | None) -> JSON:
    return {"key": "decorated", "score": 1}


@run_evaluator
async def async_decorated(run: Run, example: Example | None) -> JSON:
    return {"key": "async_decorated", "score": 1}


class Strict(RunEvaluator):
    """A class of the user's own."""

    def evaluate_run(self, run: Run, example: Example | None = None, evaluator_run_id: Any = None) -> Any:
        return EvaluationResult(key="strict", score=1, comment=type(run).__name__)


class Awaiting(RunEvaluator):
    """A class of the user's own that awaits."""

    def evaluate_run(self, run: Run, example: Example | None = None, evaluator_run_id: Any = None) -> Any:
        raise AssertionError("the async one is there")

    async def aevaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: Any = None
    ) -> Any:
        await asyncio.sleep(0)
        return EvaluationResult(key="awaiting", score=1)


class Called:
    """An object that can be called."""

    def __call__(self, outputs: JSON) -> JSON:
        return {"key": "called", "score": 1}


strict, awaiting, called = Strict(), Awaiting(), Called()


class Text:
    """The shape of a string evaluator of LangChain's, as its own wrapper calls it."""

    evaluation_name = "text_match"


class Wrapped(RunEvaluator):
    """The shape of that wrapper."""

    def __init__(self) -> None:
        self.evaluator = Text()

    def evaluate_run(self, run: Run, example: Example | None = None, evaluator_run_id: Any = None) -> Any:
        if (run.inputs or {}).get("i", 0):
            raise ValueError("no text here")
        return {"key": "text_match", "score": 1, "value": "Y", "comment": "because"}


wrapped = Wrapped()


# -- answers ---------------------------------------------------------------------------------------------


def gives_bool(outputs: JSON) -> Any:
    return True


def gives_false(outputs: JSON) -> Any:
    return False


def gives_int(outputs: JSON) -> Any:
    return 2


def gives_float(outputs: JSON) -> Any:
    return 0.5


def gives_text(outputs: JSON) -> Any:
    return "good"


def gives_dict(outputs: JSON) -> Any:
    return {"key": "a_dict", "score": 1, "comment": "why", "metadata": {"m": 1}}


def gives_value(outputs: JSON) -> Any:
    return {"key": "a_value", "value": "B"}


def gives_a_comment_alone(outputs: JSON) -> Any:
    return {"key": "a_comment", "comment": "only words"}


def gives_list(outputs: JSON) -> Any:
    return [{"key": "first", "score": 1}, {"key": "second", "score": 0.5, "comment": "half"}]


def gives_results(outputs: JSON) -> Any:
    return {"results": [{"key": "third", "score": 1}, EvaluationResult(key="fourth", score=True)]}


def gives_result(outputs: JSON) -> Any:
    return EvaluationResult(
        key="full",
        score=0.75,
        value={"grade": "C"},
        comment="in full",
        correction={"answer": "better"},
        evaluator_info={"model": "m"},
        feedback_config={"type": "continuous", "min": 0, "max": 1, "categories": None},
        extra={"more": 1},
    )


def gives_evaluation_results(outputs: JSON) -> Any:
    return EvaluationResults(results=[EvaluationResult(key="fifth", score=1), EvaluationResult(key="sixth")])


def gives_none(outputs: JSON) -> Any:
    return None


def gives_empty_list(outputs: JSON) -> Any:
    return []


def gives_empty_dict(outputs: JSON) -> Any:
    return {}


def gives_nonsense(outputs: JSON) -> Any:
    return object


def gives_a_wrong_field(outputs: JSON) -> Any:
    return {"key": "wrong", "score": 1, "marks": 3}


def gives_no_score(outputs: JSON) -> Any:
    return {"key": "scoreless", "reason": "none"}


def gives_reasoning(outputs: JSON) -> Any:
    return {"key": "reasoned", "score": 1, "reasoning": "because"}


def mixed_list(outputs: JSON) -> Any:
    return [{"key": "ok", "score": 1}, 3]


def targets_a_child(run: Run, example: Example) -> Any:
    child = run.child_runs[0].id if run.child_runs else run.id
    return {"key": "of_a_child", "score": 1, "target_run_id": child}


# -- raising ---------------------------------------------------------------------------------------------


def raises(outputs: JSON | None) -> Any:
    if outputs is not None:
        raise RuntimeError("judge quota exceeded")
    return {"key": "raises", "score": 1}


async def async_raises(outputs: JSON | None) -> Any:
    if outputs is not None:
        raise RuntimeError("judge quota exceeded")
    return {"key": "async_raises", "score": 1}


def raises_on_the_second(inputs: JSON) -> Any:
    if inputs["i"]:
        raise LookupError("not this one")
    return {"key": "sometimes", "score": 1}


def needs_outputs(run: Run, example: Example) -> Any:
    return {"key": "needs", "score": len(run.outputs["answer"])}  # type: ignore[index]
