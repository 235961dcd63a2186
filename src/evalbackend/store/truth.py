"""What really arrived, told without mercy: for tests that compare it with what a client believes."""

from __future__ import annotations

import sqlite3
from typing import Any


def truth(connection: sqlite3.Connection, session: str) -> dict[str, Any]:
    """Return, for a session by id or name, {"runs": id -> what arrived, "feedback": ids, "counts": sums}.

    A run is complete when its create has arrived and it has an end. Runs of which only an update
    arrived are in here, though no query lists them.
    """
    sql = (
        "SELECT id, ABS(post_n), patch_n, end_time, parent_run_id, reference_example_id, status FROM runs "
        "WHERE session_id = ? OR session_id = (SELECT id FROM sessions WHERE name = ?)"
    )
    runs = {row[0]: _run(row) for row in connection.execute(sql, (session, session))}
    feedback = _feedback(connection, session)
    return {"runs": runs, "feedback": feedback, "counts": _counts(runs, feedback)}


def _run(row: tuple[Any, ...]) -> dict[str, Any]:
    _, posts, patches, end, parent, example, status = row
    return {
        "post": posts,
        "patch": patches,
        "complete": posts > 0 and end is not None,
        "is_root": parent is None,
        "reference_example_id": example,
        "status": status,
    }


def _feedback(connection: sqlite3.Connection, session: str) -> list[str]:
    sql = (
        "WITH s AS (SELECT id FROM sessions WHERE id = ?1 OR name = ?1) "
        "SELECT id FROM feedback WHERE session_id IN s OR session_id IS NULL "
        "AND run_id IN (SELECT id FROM runs WHERE session_id IN s) ORDER BY id"
    )
    return [row[0] for row in connection.execute(sql, (session,))]


def _counts(runs: dict[str, dict[str, Any]], feedback: list[str]) -> dict[str, int]:
    told = runs.values()
    return {
        "runs": len(runs),
        "roots": sum(run["is_root"] for run in told),
        "complete": sum(run["complete"] for run in told),
        "complete_roots": sum(run["complete"] and run["is_root"] for run in told),
        "patch_only": sum(run["post"] == 0 for run in told),
        "repeated": sum(max(run["post"] - 1, 0) + max(run["patch"] - 1, 0) for run in told),
        "feedback": len(feedback),
    }
