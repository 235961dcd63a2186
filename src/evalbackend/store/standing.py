"""How far an experiment is: how many items it was meant to have, and of how many an ended run is there.

The rule is that of the experiment's page (web/fill.py, web/overview.py): the examples of its dataset version, in
its splits, as many as its limit; where it says how many there are, and the version holds more, and no more have runs,
those that have runs.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson

from evalbackend.store.scope import Scope

_EXAMPLES = """
SELECT example_id FROM example_versions v WHERE dataset_id = :dataset
AND valid_from <= :version AND (valid_to IS NULL OR valid_to > :version)"""
_OF_SPLITS = """
AND EXISTS (SELECT 1 FROM json_each(v.metadata, '$.dataset_split')
    WHERE value IN (SELECT value FROM json_each(:splits)))"""
_FIRST = " ORDER BY created_at, example_id LIMIT :limit"
_RUNS = """
SELECT COUNT(*), COALESCE(SUM(MIN(ended, :repetitions)), 0) FROM (
    SELECT reference_example_id, COUNT(end_time) AS ended FROM runs INDEXED BY roots_by_session
    WHERE session_id = :session AND post_n > 0 AND parent_run_id IS NULL
    AND reference_example_id IN ({examples}) GROUP BY 1)"""
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
        "version": scope.version or "9999-12-31",
        "splits": orjson.dumps(scope.splits).decode(),
        "limit": scope.limit,
        "repetitions": scope.repetitions,
    }
    examples = _EXAMPLES + (_OF_SPLITS if scope.splits else "") + ("" if scope.limit is None else _FIRST)
    held = connection.execute(f"SELECT COUNT(*) FROM ({examples})", named).fetchone()[0]  # noqa: S608
    begun, visible = connection.execute(_RUNS.format(examples=examples), named).fetchone()
    return Standing(_examples(scope, held, begun) * scope.repetitions, visible)


def _examples(scope: Scope, held: int, begun: int) -> int:
    if scope.limit is not None or scope.told is None:
        return held
    # More have runs than it was made for: somebody has gone on with it, and what it says holds no more.
    return held if begun > scope.told else scope.told


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
