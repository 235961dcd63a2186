"""What a trace of an evaluator still holds: scores as the SDK reads them, and runs that are not made up."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from langsmith.evaluation import EvaluationResult, run_evaluator
from langsmith.schemas import Run

from evalrunner.doctor.evidence import results, verdict
from evalrunner.doctor.repair.traces import REBUILT, rebuilt

RUN = "01a21f7a-d61b-7a4d-b6e4-08e16a5cdbbb"


@pytest.mark.parametrize(
    "given",
    [
        True,
        0.25,
        "good",
        {"key": "k", "score": 1},
        {"score": 0, "comment": "why"},
        {"key": "k", "value": "v"},
        [{"key": "a", "score": 1}, {"key": "b", "score": 0.5}],
        {"results": [{"key": "a", "score": 1}]},
        {"results": []},
    ],
    ids=str,
)
def test_scores_are_read_as_the_sdk_reads_them(given: Any) -> None:
    def judge(run: Any, example: Any) -> Any:
        return given

    root = Run(
        id=uuid.UUID(RUN), trace_id=uuid.UUID(RUN), name="r", run_type="chain", start_time="2026-11-27T00:00:00Z",
        inputs={}, outputs={},
    )  # fmt: skip
    told = run_evaluator(judge).evaluate_run(root)
    there = [told] if isinstance(told, EvaluationResult) else told["results"]
    wanted = [
        {
            name: value
            for name in ("key", "score", "value", "comment")
            if (value := getattr(one, name)) is not None
        }
        for one in there
    ]
    outputs = given if isinstance(given, dict) else {"output": given}
    assert list(results("judge", outputs)) == wanted


@pytest.mark.parametrize("outputs", [None, {}, {"output": None}, {"output": []}, "text", {"other": 1}])
def test_what_is_no_score_is_none(outputs: Any) -> None:
    assert list(results("judge", outputs)) == []
    seen = verdict({**trace(), "name": "judge", "end_time": "t", "outputs": outputs}, ("e",))
    assert seen is not None
    assert not seen.gave


def trace(**inputs: Any) -> dict[str, Any]:
    metadata = {"target_run_id": RUN, "experiment": "e"}
    start = "2026-11-28T00:00:09+00:00"
    return {"id": "t", "start_time": start, "inputs": inputs, "extra": {"metadata": metadata}}


def test_a_whole_run_comes_back_as_it_was() -> None:
    run = {
        "id": RUN, "name": "r", "run_type": "chain", "start_time": "2026-11-28T00:00:01Z", "error": None,
        "end_time": "2026-11-28T00:00:02Z", "inputs": {"i": 1}, "outputs": {"o": 2}, "extra": {"metadata": {"m": 1}},
    }  # fmt: skip
    found = rebuilt(trace(run=run, example={}), "name")
    assert found is not None
    assert found["extra"] == {"metadata": {"m": 1, REBUILT: "t"}}
    assert {name: found[name] for name in run if name not in ("extra", "error")} == {
        name: value for name, value in run.items() if name not in ("extra", "error")
    }


def test_of_outputs_alone_the_times_are_near() -> None:
    found = rebuilt(trace(outputs={"o": 2}), "name")
    assert found is not None
    assert (found["name"], found["outputs"], found["end_time"]) == (
        "name",
        {"o": 2},
        "2026-11-28T00:00:09+00:00",
    )
    assert found["start_time"].startswith("2026-11-28T00:")


@pytest.mark.parametrize("inputs", [{}, {"outputs": {}}, {"outputs": {"output": None}}, {"run": {"id": "x"}}])
def test_what_a_failed_run_has_too_is_not_made_into_one(inputs: dict[str, Any]) -> None:
    assert rebuilt(trace(**inputs), "name") is None
