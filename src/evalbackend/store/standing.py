"""How far an experiment is: how many items it was meant to have, and of how many an ended run is there.

The rule is that of the experiment's page (web/fill.py, web/overview.py): the examples of its dataset version, in
its splits, as many as its limit; where it says how many there are, and the version holds more, and no more have runs,
the first ones if no others have runs, else those that have runs. What was deleted before it had its runs is not
missing: nobody can evaluate it any more.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson

from evalbackend.store.scope import Scope

_OF_SPLITS = """
AND EXISTS (SELECT 1 FROM json_each(v.metadata, '$.dataset_split')
    WHERE value IN (SELECT value FROM json_each(:splits)))"""
_GONE = """valid_to IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM example_versions n WHERE n.example_id = v.example_id AND n.valid_to IS NULL)"""
_COUNTS = """
WITH held AS (
    SELECT example_id, row_number() OVER (ORDER BY created_at, example_id) AS pos, {gone} AS gone
    FROM example_versions v WHERE dataset_id = :dataset
    AND valid_from <= :then AND (valid_to IS NULL OR valid_to > :then) {splits}
    ORDER BY created_at, example_id LIMIT :limit),
items AS (
    SELECT pos, gone, (
        SELECT SUM(end_time IS NOT NULL) FROM runs INDEXED BY runs_by_example
        WHERE reference_example_id = held.example_id AND session_id = :session
        AND post_n > 0 AND parent_run_id IS NULL
    ) AS ended FROM held LIMIT -1),  -- or each mention of `ended` would count anew
counts AS (SELECT pos, ended, gone AND COALESCE(ended, 0) < :repetitions AS lost FROM items)
SELECT COUNT(*), COUNT(ended), MAX(CASE WHEN ended IS NOT NULL THEN pos END),
    COALESCE(SUM(CASE WHEN lost THEN 0 ELSE MIN(COALESCE(ended, 0), :repetitions) END), 0),
    COALESCE(SUM(lost), 0), COALESCE(SUM(lost AND pos <= :told), 0), COALESCE(SUM(lost AND ended IS NOT NULL), 0)
FROM counts"""
_SCORED = """
SELECT key, COUNT(DISTINCT run_id) FROM feedback WHERE run_id IS NOT NULL
AND (session_id = ?1 OR session_id IS NULL AND run_id IN (SELECT id FROM runs WHERE session_id = ?1))
AND key IN (SELECT value FROM json_each(?2)) GROUP BY key"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Counts of items (example x repetition)."""

    planned: int
    visible: int


def standing(connection: sqlite3.Connection, scope: Scope) -> Standing:
    """Count an experiment's items."""
    named: dict[str, Any] = {
        "session": scope.id,
        "dataset": scope.dataset_id,
        "then": scope.until or scope.version or "9999-12-31",
        "splits": orjson.dumps(scope.splits).decode(),
        "limit": -1 if scope.limit is None else scope.limit,
        "repetitions": scope.repetitions,
        "told": scope.told,
    }
    sql = _COUNTS.format(splits=_OF_SPLITS if scope.splits else "", gone="0" if scope.pinned else _GONE)
    held, begun, last, visible, lost, *among = connection.execute(sql, named).fetchone()
    told, examples = scope.told, held - lost
    if told is not None and scope.limit is None:
        if held <= told:
            examples = told - lost
        elif begun <= told:  # else somebody has gone on with it, and what it says holds no more
            examples = told - among[0 if last is not None and last <= told else 1]
    return Standing(examples * scope.repetitions, visible)


def progress(connection: sqlite3.Connection, scope: Scope) -> dict[str, Any] | None:
    """Return a session's experiment_progress: shares from 0 to 1; None for what is no experiment."""
    if scope.dataset_id is None:
        return None
    counts = standing(connection, scope)
    scored = dict(connection.execute(_SCORED, (scope.id, orjson.dumps(scope.keys).decode())).fetchall())
    return {
        "expected_run_count": counts.planned,
        "run_progress": _share(counts.visible, counts.planned),
        "evaluator_progress": {key: _share(scored.get(key, 0), counts.planned) for key in scope.keys},
    }


def _share(count: int, whole: int) -> float:
    return min(count / whole, 1.0) if whole else 0.0
