"""How a digest is filled from the store, and brought forward by what has changed since, in SQL.

`store` is the attached store; the other tables are those of digest.sql. Filling takes everything of an
experiment; bringing it forward takes the touched runs and their siblings, and makes anew what they affect.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson

from evalbackend.store.scope import Scope

TABLES = ("plan", "roots", "scores", "judge_errors", "items", "item_scores", "summaries")
LATENCY = (
    "(strftime('%s', substr({end}, 1, 19)) - strftime('%s', substr({start}, 1, 19)) "
    "+ CAST(substr({end}, 20, 7) AS REAL) - CAST(substr({start}, 20, 7) AS REAL))"
)

_PLAN = """
INSERT INTO plan (session, pos, example_id, version, gone)
SELECT :session, row_number() OVER (ORDER BY created_at, example_id), example_id, {shown}, {gone}
FROM store.example_versions v WHERE dataset_id = :dataset AND {held} {splits}
ORDER BY created_at, example_id LIMIT :limit"""
_GONE = """valid_to IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM store.example_versions n WHERE n.example_id = v.example_id AND n.valid_to IS NULL)"""
_HELD = "valid_from <= :version AND (valid_to IS NULL OR valid_to > :version)"
_THEN = _HELD.replace(":version", ":then")
# An example that was changed between the two is shown as the experiment's version has it.
_SHOWN = f"""COALESCE((SELECT version FROM store.example_versions s
    WHERE s.example_id = v.example_id AND {_HELD}), version)"""  # noqa: S608
_SPLITS = """AND EXISTS (SELECT 1 FROM json_each(v.metadata, '$.dataset_split')
WHERE value IN (SELECT value FROM json_each(:splits)))"""

_ALL_RUNS = "store.runs r INDEXED BY roots_by_session"
_ALL_ENDS = "store.runs r INDEXED BY ends_by_session"
_TOUCHED_RUNS = "touched t CROSS JOIN store.runs r ON r.id = t.id"
# A run counts if it ended and its example has room for it: those without error first, then in order of time.
_ROOTS = f"""
INSERT INTO roots (session, id, example_id, pos, start_time, end_time, latency, failed, kind)
SELECT :session, id, example_id, pos, start_time, end_time, {LATENCY.format(end="end_time", start="start_time")},
    failed, CASE WHEN pos IS NULL THEN 'unlinked' WHEN end_time IS NULL THEN 'pending'
        WHEN row_number() OVER (PARTITION BY pos, end_time IS NULL ORDER BY failed, start_time, id) <= :repetitions
        THEN 'counted' ELSE 'duplicate' END
FROM (SELECT r.id, r.reference_example_id AS example_id, p.pos, r.start_time, r.end_time,
        r.status = 'error' AS failed
    FROM {{runs}}
    LEFT JOIN plan p ON p.session = :session AND p.example_id = r.reference_example_id
    WHERE r.session_id = :session AND r.post_n > 0 AND r.parent_run_id IS NULL)"""  # noqa: S608
# Its update tells nearly all that a create does, its start too: that no create came is what the store has counted.
_HEADLESS = """
INSERT INTO roots (session, id, example_id, pos, start_time, end_time, failed, kind, why)
SELECT :session, r.id, r.reference_example_id, p.pos, r.start_time, r.end_time, 0, 'headless',
    'its end arrived, its beginning did not'
FROM {runs} LEFT JOIN plan p ON p.session = :session AND p.example_id = r.reference_example_id
WHERE r.session_id = :session AND r.post_n = 0 AND r.parent_run_id IS NULL"""
_STRANGE = f"""
UPDATE roots SET (kind, why) = (SELECT
    CASE WHEN MAX(v.dataset_id = :dataset) THEN 'hidden' ELSE 'unlinked' END,
    CASE WHEN roots.example_id IS NULL THEN 'the run names no example'
        WHEN COUNT(v.version) = 0 THEN 'its example is not in this store'
        WHEN NOT MAX(v.dataset_id = :dataset) THEN 'its example belongs to another dataset'
        WHEN MIN(v.created_at) > :version THEN 'its example was added after the experiment''s dataset version'
        WHEN MAX({_HELD}) THEN 'its example is outside of the splits or the limit of the plan'
        ELSE 'its example was deleted before the experiment''s dataset version' END
    FROM store.example_versions v WHERE v.example_id = roots.example_id)
WHERE session = :session AND kind = 'unlinked'"""  # noqa: S608
_SCORES = """
INSERT INTO scores SELECT :session, r.id, f.key, CASE r.kind WHEN 'counted' THEN r.pos END, AVG(f.score), MAX(f.value)
FROM {roots} CROSS JOIN store.feedback f ON f.run_id = r.id
WHERE r.session = :session GROUP BY r.id, f.key"""
# Filed by the SDK with `error` (client.py, create_feedback); only what has neither score nor value is looked into.
_JUDGE_ERRORS = """
INSERT INTO judge_errors SELECT :session, r.id, f.key, CASE r.kind WHEN 'counted' THEN r.pos END,
    substr(COALESCE(f.comment, 'an error without a text'), 1, 2000)
FROM {roots} CROSS JOIN store.feedback f ON f.run_id = r.id
WHERE r.session = :session AND f.score IS NULL AND f.value IS NULL
AND (json_extract(CAST(f.body AS TEXT), '$.error') OR json_extract(CAST(f.body AS TEXT), '$.extra.error'))"""
_TOUCHED_ROOTS = "touched t CROSS JOIN roots r ON r.session = :session AND r.id = t.id"
_SUMMARIES = """
INSERT INTO summaries SELECT :session, key, score, value FROM store.feedback
WHERE session_id = :session AND run_id IS NULL ORDER BY created_at, id"""
_ITEMS = """
INSERT INTO items SELECT :session, p.pos, COALESCE(SUM(kind = 'counted'), 0), COALESCE(SUM(kind = 'pending'), 0),
    MAX(:repetitions - COALESCE(SUM(kind IN ('counted', 'pending')), 0), 0),
    COALESCE(SUM(kind = 'counted' AND failed), 0), COALESCE(SUM(kind = 'duplicate'), 0),
    COALESCE(SUM(kind = 'headless'), 0),
    AVG(CASE WHEN kind = 'counted' THEN latency END), MAX(CASE WHEN kind = 'counted' THEN latency END),
    MAX(COALESCE(end_time, start_time))
FROM {plan} LEFT JOIN roots r INDEXED BY roots_by_pos ON r.session = :session AND r.pos = p.pos
WHERE p.session = :session GROUP BY p.pos"""
_AFFECTED_PLAN = "affected a CROSS JOIN plan p ON p.session = :session AND p.pos = a.pos"
_ITEM_SCORES = """
INSERT INTO item_scores SELECT :session, s.key, s.pos, AVG(s.score), {value}
FROM {scores} WHERE s.session = :session AND s.pos IS NOT NULL GROUP BY s.key, s.pos"""
_TOUCHED_SCORES = "touched t CROSS JOIN scores s ON s.session = :session AND s.run_id = t.id"

# An experiment over some examples that says how many, but not which: the first ones are in its plan if no others have
# runs, else those that have; all, if more have runs than it says.
_HOLDS = "SELECT COUNT(*) FROM plan WHERE session = :session"
_BEGUN = "SELECT COUNT(DISTINCT pos), MAX(pos) FROM roots WHERE session = :session AND kind <> 'headless'"
_FIRST = "DELETE FROM plan WHERE session = :session AND pos > :told"
_NARROW = """
DELETE FROM plan WHERE session = :session AND NOT EXISTS (
    SELECT 1 FROM roots r WHERE r.session = :session AND r.pos = plan.pos AND r.kind <> 'headless')"""
# What was deleted before it had its runs is not missing: nobody can evaluate it any more.
_LOST = """
DELETE FROM plan WHERE session = :session AND gone AND :repetitions > (SELECT COUNT(*) FROM roots r
    WHERE r.session = :session AND r.pos = plan.pos AND r.kind = 'counted')"""
_LOSES = """
SELECT 1 FROM affected a CROSS JOIN plan p ON p.session = :session AND p.pos = a.pos WHERE p.gone AND
    :repetitions > (SELECT COUNT(*) FROM roots r WHERE r.session = :session AND r.pos = p.pos AND r.kind = 'counted')
LIMIT 1"""
_WITHOUT = """
UPDATE roots SET pos = NULL, why = 'its example was deleted before it had all its runs',
    kind = CASE kind WHEN 'headless' THEN kind ELSE 'unlinked' END
WHERE session = :session AND pos IS NOT NULL AND pos NOT IN (SELECT pos FROM plan WHERE session = :session)"""

# Of the runs told to have changed: those that are or were this experiment's, with all runs of their examples.
_TOUCH = (
    "INSERT INTO touched SELECT r.id FROM json_each(:runs) j CROSS JOIN store.runs r ON r.id = j.value "
    "WHERE r.session_id = :session UNION SELECT r.id FROM json_each(:runs) j "
    "CROSS JOIN roots r ON r.session = :session AND r.id = j.value",
    "INSERT INTO affected SELECT pos FROM touched t CROSS JOIN roots r ON r.session = :session AND r.id = t.id "
    "WHERE pos IS NOT NULL UNION SELECT p.pos FROM touched t CROSS JOIN store.runs r ON r.id = t.id "
    "CROSS JOIN plan p ON p.session = :session AND p.example_id = r.reference_example_id",
    "INSERT OR IGNORE INTO touched SELECT r.id FROM affected a CROSS JOIN roots r "
    "ON r.session = :session AND r.pos = a.pos",
)
_FORGET = (
    "DELETE FROM roots WHERE session = :session AND id IN (SELECT id FROM touched)",
    "DELETE FROM scores WHERE session = :session AND run_id IN (SELECT id FROM touched)",
    "DELETE FROM judge_errors WHERE session = :session AND run_id IN (SELECT id FROM touched)",
    "DELETE FROM items WHERE session = :session AND pos IN (SELECT pos FROM affected)",
    "DELETE FROM item_scores WHERE session = :session AND pos IN (SELECT pos FROM affected)",
)


def fill(connection: sqlite3.Connection, scope: Scope) -> tuple[Scope, bool]:
    """Digest all of an experiment; return what is still wanted of it, and whether it can be brought forward."""
    named = _named(scope)
    held = _THEN if scope.until or scope.version else "valid_to IS NULL"
    plan = _PLAN.format(
        held=held,
        splits=_SPLITS if scope.splits else "",
        gone="0" if held == "valid_to IS NULL" else _GONE,
        shown=_SHOWN if scope.until else "version",
    )
    _run(
        connection,
        (plan, _ROOTS.format(runs=_ALL_RUNS), _HEADLESS.format(runs=_ALL_ENDS), _STRANGE),
        named,
    )
    narrowed = scope.told is not None and scope.limit is None and _narrow(connection, scope)
    lost = 0 if scope.pinned else _without_lost(connection, named)
    _run(connection, (_SCORES.format(roots="roots r"), _JUDGE_ERRORS.format(roots="roots r")), named)
    made = (_ITEMS.format(plan="plan p"), _item_scores(scope, "scores s"), _SUMMARIES)
    _run(connection, made, named)
    told = None if scope.told is None else scope.told - lost
    return replace(scope, told=told), not narrowed and not lost


def forward(connection: sqlite3.Connection, scope: Scope, runs: Iterable[str]) -> bool | None:
    """Bring a digest forward by the runs that may have changed; tell whether any was this experiment's.

    Returns:
        None where the plan is another now, and all must be made anew: a deleted example has lost a run.
    """
    named = {**_named(scope), "runs": orjson.dumps(list(runs)).decode()}
    connection.execute("DELETE FROM touched")
    connection.execute("DELETE FROM affected")
    _run(connection, _TOUCH, named)
    if connection.execute("SELECT 1 FROM touched LIMIT 1").fetchone() is None:
        return False
    steps = (
        _ROOTS.format(runs=_TOUCHED_RUNS), _HEADLESS.format(runs=_TOUCHED_RUNS), _STRANGE,
        _SCORES.format(roots=_TOUCHED_ROOTS),
        _JUDGE_ERRORS.format(roots=_TOUCHED_ROOTS), _ITEMS.format(plan=_AFFECTED_PLAN),
        _item_scores(scope, _TOUCHED_SCORES),
    )  # fmt: skip
    _run(connection, (*_FORGET, *steps), named)
    if not scope.pinned and connection.execute(_LOSES, named).fetchone():
        return None
    return True


def sum_up(connection: sqlite3.Connection, scope: Scope) -> None:
    """Read the scores of the whole experiment again."""
    connection.execute("DELETE FROM summaries WHERE session = ?", (scope.id,))
    connection.execute(_SUMMARIES, _named(scope))


def drop(connection: sqlite3.Connection, session: str) -> None:
    """Forget an experiment."""
    for table in TABLES:
        connection.execute(f"DELETE FROM {table} WHERE session = ?", (session,))  # noqa: S608


def _item_scores(scope: Scope, scores: str) -> str:
    value = "MAX(s.value)" if scope.repetitions == 1 else "GROUP_CONCAT(DISTINCT s.value)"
    return _ITEM_SCORES.format(scores=scores, value=value)


def _narrow(connection: sqlite3.Connection, scope: Scope) -> bool:
    """Narrow the plan; tell whether a run more or less may make it another."""
    named = {"session": scope.id, "told": scope.told}
    if connection.execute(_HOLDS, named).fetchone()[0] <= (scope.told or 0):
        return False
    begun, last = connection.execute(_BEGUN, named).fetchone()
    if begun <= (scope.told or 0):
        connection.execute(_FIRST if begun and last <= scope.told else _NARROW, named)
    return True


def _without_lost(connection: sqlite3.Connection, named: dict[str, Any]) -> int:
    """Take what nobody can evaluate any more out of the plan; return how many examples those are."""
    lost = connection.execute(_LOST, named).rowcount
    if lost:
        connection.execute(_WITHOUT, named)
    return lost


def _named(scope: Scope) -> dict[str, Any]:
    return {
        "session": scope.id,
        "dataset": scope.dataset_id,
        "version": scope.version or "9999",
        "then": scope.until or scope.version or "9999",
        "splits": orjson.dumps(scope.splits).decode(),
        "limit": scope.limit or -1,
        "repetitions": scope.repetitions,
    }


def _run(connection: sqlite3.Connection, steps: Iterable[str], named: dict[str, Any]) -> None:
    for step in steps:
        connection.execute(step, named)
