"""What an evaluator gave, held against what the service can take, before any of it is recorded.

The SDK records an evaluator's scores one by one: a second one that cannot be sent would leave the first beside
the record of an error, and one that only the service refuses would cost the whole item. Whatever is wrong here
is an error of the evaluator, by name. What plain `aevaluate` has a meaning for (a truth value, a word, a value
that is no JSON but can be shown) is left as it is.
"""

from __future__ import annotations

import math
import re
from typing import Any
from uuid import UUID

from langsmith.evaluation import EvaluationResult

from evalrunner.delivery.capture.sdk import dumps_json, select_results

#: Whole numbers up to here are what every reader of JSON keeps exactly.
LARGEST_SCORE = 2**53
#: Characters of a feedback key.
LONGEST_KEY = 1000
#: What a JSON number may be for the service, and how deep a value may be nested.
_INT64, _DEEPEST = 2**63, 100
#: The SDK leaves them out of what it sends (langsmith/_internal/_serde.py:254).
_SURROGATES = re.compile("[\ud800-\udfff]")
_FREE = ("value", "correction", "metadata", "evaluator_info", "extra", "feedback_config")


class BadScoreError(ValueError):
    """An evaluator gave something that cannot be recorded."""


def checked(answer: Any) -> list[EvaluationResult]:
    """Return an evaluator's scores, each of which can be recorded.

    Raises:
        BadScoreError: one of them cannot; none is recorded.
        Exception: the SDK's own refusal of the answer.
    """
    results = select_results(answer)
    for result in results:
        if not isinstance(result, EvaluationResult):
            raise BadScoreError(
                f"a result is of type {type(result).__name__}, not an EvaluationResult or a dict"
            )
        _check(result)
    return results


def _check(result: EvaluationResult) -> None:
    _check_key(result.key)
    _check_score(result.score)
    if isinstance(result.comment, str):
        result.comment = _SURROGATES.sub("", result.comment)
    for name in ("target_run_id", "source_run_id"):
        _check_id(name, getattr(result, name))
    given = {name: value for name in _FREE if not _is_nothing(value := getattr(result, name))}
    for name, value in given.items():
        setattr(result, name, _clean(value, name))
    if given or not isinstance(result.comment, (str, type(None))):
        _check_json(result)


def _is_nothing(value: Any) -> bool:
    return value is None or (type(value) is dict and not value)


def _check_json(result: EvaluationResult) -> None:
    try:
        dumps_json(result.model_dump())
    except Exception as error:
        raise BadScoreError(f"the score {result.key!r} cannot be written as JSON: {error}") from error


def _check_key(key: Any) -> None:
    if not isinstance(key, str) or not key:
        raise BadScoreError(f"a feedback key is a text that is not empty, not {key!r}")
    if _SURROGATES.search(key):
        raise BadScoreError(f"the feedback key {key!r} has a lone surrogate, which no encoding can write")
    if len(key) > LONGEST_KEY:
        raise BadScoreError(
            f"the feedback key {key[:40]!r}... has {len(key)} characters, {LONGEST_KEY} at most"
        )


def _check_score(score: Any) -> None:
    if score is None or isinstance(score, bool):
        return
    if not isinstance(score, (int, float)):
        raise BadScoreError(f"a score is a number or a truth value, not a {type(score).__name__}")
    if isinstance(score, float) and not math.isfinite(score):
        raise BadScoreError(f"the score is {score}, which JSON does not have")
    if abs(score) > LARGEST_SCORE:
        raise BadScoreError(
            f"the score {_short(score)} is beyond 2**53, which is the most that is kept exactly"
        )


def _short(number: float) -> str:
    # An int of thousands of digits refuses to be printed (sys.set_int_max_str_digits).
    if isinstance(number, int) and number.bit_length() > 128:
        return f"of {number.bit_length()} bits"
    return repr(number)


def _check_id(name: str, value: Any) -> None:
    try:
        if value is not None:
            UUID(str(value))
    except ValueError:
        raise BadScoreError(f"{name} is {value!r}, which is no UUID") from None


def _clean(value: Any, name: str, depth: int = 0) -> Any:
    """Return a value without lone surrogates; what is no JSON container, text or number is left to the SDK."""
    if depth > _DEEPEST:
        raise BadScoreError(f"{name} is nested deeper than {_DEEPEST} levels, or contains itself")
    if isinstance(value, str):
        return _SURROGATES.sub("", value)
    if isinstance(value, int) and not -_INT64 <= value < 2 * _INT64:
        raise BadScoreError(f"{name} holds the number {_short(value)}, which is beyond 64 bits")
    if type(value) is dict:
        return {_clean(key, name, depth + 1): _clean(each, name, depth + 1) for key, each in value.items()}
    if type(value) in (list, tuple):
        return [_clean(each, name, depth + 1) for each in value]
    return value
