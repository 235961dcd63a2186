"""What an evaluator gives is recorded whole, or is its error; nothing that no service can take gets through."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langsmith.evaluation import EvaluationResult

from evalrunner.delivery.capture.sdk import dumps_json
from evalrunner.worker.code.scores import LARGEST_SCORE, LONGEST_KEY, BadScoreError, checked

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.binary(max_size=3)
    | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
results = st.fixed_dictionaries(
    {},
    optional={
        "key": st.text(st.characters(), max_size=5) | anything,
        "score": anything,
        "value": anything,
        "comment": anything,
        "correction": anything,
        "metadata": anything,
        "extra": anything,
        "evaluator_info": anything,
        "source_run_id": st.uuids() | anything,
        "target_run_id": st.uuids() | anything,
    },
)
answers = (
    results | st.builds(lambda each: {"results": each}, st.lists(results | anything, max_size=3)) | anything
)


@given(answers)
def test_whatever_is_given_is_a_score_that_can_be_sent_or_an_error(answer: Any) -> None:
    try:
        found = checked(answer)
    except Exception:
        return
    for result in found:
        assert result.key
        result.key.encode()
        assert result.score is None or math.isfinite(float(result.score))
        assert abs(float(result.score or 0)) <= LARGEST_SCORE
        orjson.loads(dumps_json(result.model_dump()))


@pytest.mark.parametrize(
    "result",
    [
        {"key": "k", "score": float("nan")},
        {"key": "k", "score": float("-inf")},
        {"key": "k", "score": 1e300},
        {"key": "k", "score": 10**400},
        {"key": "k", "score": -(2**54)},
        {"key": "", "score": 1},
        {"key": "\ud800", "score": 1},
        {"key": "k" * (LONGEST_KEY + 1), "score": 1},
        {"key": "k", "value": {"deep": [10**400]}},
        {"key": "k", "value": 2**64},
        {"key": "k", "score": 1, "target_run_id": "none"},
    ],
)
def test_each_of_these_is_said_in_one_sentence(result: dict[str, Any]) -> None:
    with pytest.raises(BadScoreError) as raised:
        checked(result)
    assert len(str(raised.value)) < 200
    str(raised.value).encode()
    with pytest.raises(BadScoreError):
        checked({"results": [{"key": "good", "score": 1}, result]})


def test_a_value_that_contains_itself_is_an_error() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    with pytest.raises(BadScoreError, match="contains itself"):
        checked(EvaluationResult.model_construct(key="k", value=loop))


def test_what_the_sdk_has_a_meaning_for_is_left_alone() -> None:
    (result,) = checked(EvaluationResult(key="k", score=True, comment="a\ud800b", value={"c\ud800": "d"}))
    assert (result.score, result.comment, result.value) == (True, "ab", {"c": "d"})
    (result,) = checked({"key": "k", "score": LARGEST_SCORE, "reasoning": "so"})
    assert (result.score, result.comment) == (LARGEST_SCORE, "so")
