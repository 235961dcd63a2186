"""Many runs of an annotation queue at once: filled from experiments, emptied, written out."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.store import queue_runs
from evalbackend.store.functions import marks
from evalbackend.store.queues import require_queue
from evalbackend.store.runs_read import RunReader
from evalbackend.wire.values import optional_time

_AT_ONCE = 500


def populate(
    connection: sqlite3.Connection, queue_id: str, sessions: list[str], *, experiments: bool
) -> None:
    """Add the root runs of sessions, first start first; 404 for an unknown one.

    With `experiments`, 422 for a session that is not an experiment over a dataset.
    """
    require_queue(connection, queue_id)
    for session in sessions:
        sql = "SELECT reference_dataset_id FROM sessions WHERE id = ?"
        row = connection.execute(sql, (session,)).fetchone()
        if row is None:
            raise HttpError(404, f"session {session} not found")
        if experiments and row[0] is None:
            raise HttpError(422, f"session {session} is not an experiment over a dataset")
        roots = connection.execute(
            "SELECT id FROM runs WHERE session_id = ? AND post_n > 0 AND parent_run_id IS NULL "
            "ORDER BY start_time, id",
            (session,),
        ).fetchall()
        queue_runs.add_runs(connection, queue_id, [queue_runs.Added(run_id) for (run_id,) in roots])


def remove_runs(
    connection: sqlite3.Connection, queue_id: str, runs: list[str] | None, spared: list[str]
) -> None:
    """Take out some runs, or all (None) but those that are spared; 404 for an unknown queue."""
    require_queue(connection, queue_id)
    wanted = "1" if runs is None else "run_id IN (SELECT value FROM json_each(?))"
    args = [orjson.dumps(one).decode() for one in ([] if runs is None else [runs]) + [spared]]
    connection.execute(
        f"DELETE FROM annotation_queue_runs WHERE queue_id = ? AND run_id IS NOT NULL AND {wanted} "  # noqa: S608  our words and ? only
        "AND run_id NOT IN (SELECT value FROM json_each(?))",
        (queue_id, *args),
    )


def export(reader: RunReader, queue_id: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the runs whose review was completed in a window of time, each with all its feedback."""
    connection = reader.connection
    require_queue(connection, queue_id)
    where, args = "queue_id = ? AND completed_at IS NOT NULL AND run_id IS NOT NULL", [queue_id]
    for name, sign in (("start_time", ">="), ("end_time", "<=")):
        if (bound := optional_time(body.get(name), name)) is not None:
            where += f" AND completed_at {sign} ?"
            args.append(bound)
    sql = f"SELECT run_id FROM annotation_queue_runs WHERE {where} ORDER BY completed_at, position"  # noqa: S608  our words and ? only
    ids = [row[0] for row in connection.execute(sql, args)]
    found: list[dict[str, Any]] = []
    for at in range(0, len(ids), _AT_ONCE):
        found += _with_feedback(reader, ids[at : at + _AT_ONCE])
    return found


def _with_feedback(reader: RunReader, ids: list[str]) -> list[dict[str, Any]]:
    runs = {run["id"]: run for run in reader.select(f"WHERE id IN ({marks(ids)}) AND post_n > 0", ids, None)}
    for run in runs.values():
        run["feedback"] = []
    sql = f"SELECT run_id, body FROM feedback WHERE run_id IN ({marks(ids)}) ORDER BY created_at, id"  # noqa: S608  our words and ? only
    for run_id, body in reader.connection.execute(sql, ids):
        if run_id in runs:
            runs[run_id]["feedback"].append(orjson.Fragment(body))
    return [runs[run_id] for run_id in ids if run_id in runs]
