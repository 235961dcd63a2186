"""What a filter may ask of runs."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from evalbackend.errors import HttpError
from evalbackend.filtering.grammar import Grammar, Rows, Sql
from evalbackend.filtering.syntax import parse
from evalbackend.store.functions import in_traces, marks
from evalbackend.usage_rules import COSTS, COUNTS, USAGE, subtree_sum
from evalbackend.wire.values import time_text, uuid_text

_EXTRA = "CAST(runs.extra AS TEXT)"
METADATA = (
    f"CASE json_type({_EXTRA}, '$.metadata') WHEN 'object' THEN json_extract({_EXTRA}, '$.metadata') END"
)
_THREAD_KEYS = ("session_id", "conversation_id", "thread_id")
THREAD_ID = "COALESCE({})".format(
    ", ".join(f"json_extract({_EXTRA}, '$.metadata.{key}')" for key in _THREAD_KEYS)
)
_INPUTS, _OUTPUTS = "CAST(runs.inputs AS TEXT)", "CAST(runs.outputs AS TEXT)"
LATENCY = "ROUND((julianday(end_time) - julianday(start_time)) * 86400.0, 4)"  # julianday is exact to 0.1 ms
_FIRST_TOKEN = "ROUND((julianday(first_token_time) - julianday(start_time)) * 86400.0, 4)"  # noqa: S105

_TIMES = ("start_time", "end_time", "first_token_time")
_SECONDS = ("latency", "latency_seconds", "time_to_first_token")
_NUMBERS = frozenset({*USAGE, *_SECONDS, "feedback_score"})
_LOWER = ("run_type", "status")
_IDS = {
    "id": "runs.id", "run_id": "runs.id", "trace_id": "trace_id", "trace": "trace_id",
    "parent_run_id": "parent_run_id", "parent_run": "parent_run_id", "session_id": "session_id",
    "session": "session_id", "project_id": "session_id", "reference_example_id": "reference_example_id",
    "reference_example": "reference_example_id",
    "reference_dataset_id": "(SELECT reference_dataset_id FROM sessions WHERE sessions.id = runs.session_id)",
}  # fmt: skip
_PROJECT = "(SELECT name FROM sessions WHERE sessions.id = runs.session_id)"
_VALUE = (
    "CASE {0}.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'null' THEN NULL "
    "ELSE CAST({0}.value AS TEXT) END"
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _pairs(kind: str, document: str) -> Rows:
    key = f"{kind}_key"
    fields = {key: f"{kind}_of.key", f"{kind}_value": _VALUE.format(f"{kind}_of")}
    return Rows(f"json_each({document}) AS {kind}_of WHERE 1", key, fields)


_FEEDBACK = Rows(
    "feedback AS told WHERE told.run_id = runs.id",
    "feedback_key",
    {
        "feedback_key": "told.key",
        "feedback_score": "told.score",
        "feedback_value": "told.value",
        "feedback_comment": "told.comment",
        "feedback_source": "told.source_type",
    },
)


def _coerce(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return time_text(value, name)
    if name in _IDS:
        return uuid_text(value, name)
    if name in _NUMBERS:
        return _number(name, value)
    if name.endswith("_value") and not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value.lower() if name in _LOWER and isinstance(value, str) else value


def _number(name: str, value: Any) -> Any:
    if isinstance(value, str) and name in _SECONDS and (match := _DURATION.fullmatch(value)):
        return float(match[1]) * _UNITS[match[2]]
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    units = ", or a text such as '1.5s'" if name in _SECONDS else ""
    raise HttpError(400, f"{name} is compared with a number{units}")


_OWN = {**{name: name for name in COUNTS}, **{name: f"CAST({name} AS REAL)" for name in COSTS}}
_SUBTREES = {name: subtree_sum(name) for name in USAGE}
GRAMMAR = Grammar(
    fields={
        **_IDS,
        **{name: name for name in (*_TIMES, "name", "run_type", "status")},
        **_SUBTREES,
        "error": "NULLIF(error, '')",
        "is_root": "(parent_run_id IS NULL)",
        "latency": LATENCY,
        "latency_seconds": LATENCY,
        "time_to_first_token": _FIRST_TOKEN,
        "thread_id": THREAD_ID,
        "session_name": _PROJECT,
        "project_name": _PROJECT,
    },
    documents={"metadata": METADATA, "inputs": _INPUTS, "outputs": _OUTPUTS, "extra": _EXTRA},
    lists={"tags": "runs.tags"},
    coerce=_coerce,
    rows=(
        _FEEDBACK,
        _pairs("metadata", METADATA),
        _pairs("input", _INPUTS),
        _pairs("output", _OUTPUTS),
        Rows("json_each(runs.tags) AS tag_of WHERE 1", "tag", {"tag": "tag_of.value"}),
    ),
    flags={"error": "(status = 'error')"},
    lookups={"trace_id": in_traces, "trace": in_traces},
    texts={"name": "name", "inputs": _INPUTS, "outputs": _OUTPUTS, "error": "error", "tags": "runs.tags"},
)


_OF_ITSELF = replace(GRAMMAR, fields={**GRAMMAR.fields, **_OWN})


def of_run(text: str, *, subtrees: bool = True) -> Sql:
    """Return the condition that a `filter` puts on the run.

    With `subtrees`, its tokens and costs are those of its descendants too, as an answer is to show them.
    """
    return (GRAMMAR if subtrees else _OF_ITSELF).sql(parse(text))


def of_trace(text: str, sessions: list[str], *, root: bool) -> Sql:
    """Return what a `trace_filter` (of the root) or a `tree_filter` (of any run) asks of the run's trace."""
    condition, args = GRAMMAR.sql(parse(text))
    scope = f"session_id IN ({marks(sessions)}) AND " if sessions else ""
    which = "parent_run_id IS NULL AND " if root else ""
    inner = f"SELECT trace_id FROM runs WHERE {scope}{which}post_n > 0 AND {condition}"  # noqa: S608
    return f"trace_id IN ({inner})", [*sessions, *args]
