"""The keys that are told of an evaluator before it has run are texts, whatever stands in its source or class."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langsmith.evaluation import RunEvaluator

from evalrunner.worker.code.evaluators import TrackedEvaluator

JSON = dict[str, Any]


def a_number(outputs: JSON) -> JSON:
    return {"key": 3, "score": 1}


def a_truth(outputs: JSON) -> JSON:
    return {"key": True, "score": 1}


def raw(outputs: JSON) -> JSON:
    return {"key": b"raw", "score": 1}


def some(outputs: JSON) -> JSON:
    return {"results": [{"key": 1.5, "score": 1}, {"key": "good", "score": 1}, {"key": "", "score": 1}]}


class Telling(RunEvaluator):
    """Tells its keys itself."""

    def __init__(self, told: Any) -> None:
        self._told = told

    @property
    def feedback_keys(self) -> Any:
        """Return what it was made with, or raise it."""
        if isinstance(self._told, Exception):
            raise self._told
        return self._told

    def evaluate_run(self, *_: Any, **__: Any) -> Any:
        """Give nothing."""
        return {"results": []}


@pytest.mark.parametrize(
    ("evaluator", "wanted"),
    [
        (a_number, []),
        (a_truth, []),
        (raw, []),
        (some, ["good"]),
        (Telling(None), []),
        (Telling("one"), ["one"]),
        (Telling(["a", "a", "b\ud800", ["c"]]), ["a"]),
        (Telling(RuntimeError("not now")), []),
    ],
)
def test_only_what_can_be_a_key_is_told(evaluator: Any, wanted: list[str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        judge = TrackedEvaluator(evaluator, pool, "judge")
        assert judge.known_keys == wanted
        assert judge.feedback_keys == (wanted or ["judge"])
