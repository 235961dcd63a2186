"""Feedback as it is sent, and as it is kept."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.wire.values import now_text, optional_text, optional_time, optional_uuid, uuid_text


@dataclass(slots=True)
class FeedbackRow:
    """One row of the feedback table; `body` is the JSON that clients read back."""

    id: str
    run_id: str | None
    session_id: str | None
    trace_id: str | None
    key: str
    score: float | None
    value: str | None
    comment: str | None
    source_type: str | None
    created_at: str
    comparative_experiment_id: str | None
    body: bytes


def feedback_row(document: dict[str, Any]) -> FeedbackRow:
    """Return the row for a FeedbackCreate; 422 if it has no key, or what the SDK could not read back.

    Feedback without a run is about the whole session. Whether the run exists is not asked: feedback
    may overtake its run, and the SDK would retry a 404 for minutes.
    """
    key = document.get("key")
    if not isinstance(key, str) or not key:
        raise HttpError(422, "feedback must have a key")
    now = now_text()
    created = optional_time(document.get("created_at"), "created_at") or now
    ids = {name: optional_uuid(document.get(name), name) for name in _IDS}
    score = _score(document.get("score"))
    comment = optional_text(document.get("comment"), "comment")
    source = _source(document.get("feedback_source"))
    body = {name: document.get(name) for name in _COPIED}
    body |= {
        "value": _one_of(document.get("value"), "value", dict, str, bool, int, float),
        "correction": _one_of(document.get("correction"), "correction", dict, str),
        "extra": _one_of(document.get("extra"), "extra", dict),
        "feedback_group_id": optional_uuid(document.get("feedback_group_id"), "feedback_group_id"),
        "start_time": optional_time(document.get("start_time"), "start_time"),
        "feedback_source": source,
    }
    body |= {
        **ids,
        "id": uuid_text(document.get("id") or str(uuid.uuid4()), "id"),
        "key": key,
        "score": score,
    }
    body |= {
        "created_at": created,
        "modified_at": optional_time(document.get("modified_at"), "modified_at") or now,
    }
    return FeedbackRow(
        id=str(body["id"]),
        key=key,
        score=None if score is None else float(score),
        value=_value_text(document.get("value")),
        comment=comment,
        source_type=None if source is None else source["type"],
        created_at=created,
        body=orjson.dumps(body),
        **ids,
    )


_IDS = ("run_id", "session_id", "trace_id", "comparative_experiment_id")
_COPIED = ("comment", "error")


def _one_of(value: Any, name: str, *kinds: type) -> Any:
    """Return a value that the SDK can read back: one that it cannot would keep it from the whole page."""
    if value is None or isinstance(value, kinds):
        return value
    words = {dict: "a JSON object", str: "a string", bool: "a boolean", int: "a number"}
    known = [words[kind] for kind in kinds if kind in words]
    raise HttpError(422, f"{name} must be {', '.join(known)} or null")


def _source(value: Any) -> dict[str, Any] | None:
    source: dict[str, Any] | None = _one_of(value, "feedback_source", dict)
    if source is None:
        return None
    kinds = {"type": str, "metadata": dict, "user_id": str, "user_name": str}
    told = {name: _one_of(source.get(name), f"feedback_source.{name}", kind) for name, kind in kinds.items()}
    return {**source, "type": told["type"] or "api"}


def _score(value: Any) -> float | int | bool | None:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise HttpError(422, "score must be a number, a boolean or null")


def _value_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
