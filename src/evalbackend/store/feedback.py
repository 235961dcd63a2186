"""Feedback rows: written, listed, deleted, and summed up."""

from __future__ import annotations

import sqlite3
from operator import attrgetter
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.store.functions import marks
from evalbackend.wire.feedback import FeedbackRow, feedback_row

_COLUMNS = (
    "id, run_id, session_id, trace_id, key, score, value, comment, source_type, created_at, "
    "comparative_experiment_id, body"
)
_ROW = attrgetter(*_COLUMNS.split(", "))
_INTO = f"INTO feedback ({_COLUMNS}) VALUES ({marks(_COLUMNS.split(','))})"


def upsert_feedback(connection: sqlite3.Connection, rows: list[FeedbackRow]) -> int:
    """Write feedback, each row replacing the one of the same id; return how many ids were new."""
    latest = {row.id: row for row in rows}
    ids = list(latest)
    known: set[str] = set()
    for at in range(0, len(ids), 500):
        some = ids[at : at + 500]
        found = connection.execute(f"SELECT id FROM feedback WHERE id IN ({marks(some)})", some)  # noqa: S608  ?
        known.update(row[0] for row in found)
    # FAIL where nothing is replaced: see runs_write.py.
    connection.executemany(f"INSERT OR FAIL {_INTO}", (_ROW(latest[one]) for one in ids if one not in known))
    connection.executemany(f"INSERT OR REPLACE {_INTO}", (_ROW(latest[one]) for one in ids if one in known))
    return len(ids) - len(known)


def list_feedback(
    connection: sqlite3.Connection,
    *,
    runs: list[str],
    keys: list[str],
    sources: list[str],
    sessions: list[str],
    level: str | None,
    limit: int,
    offset: int,
) -> list[orjson.Fragment]:
    """Return a page of feedback, newest first (then by id)."""
    where: list[str] = ["1"]
    args: list[Any] = []
    for column, wanted in (("run_id", runs), ("key", keys), ("source_type", sources)):
        if wanted:
            where.append(f"{column} IN ({marks(wanted)})")
            args += wanted
    if level is not None:
        where.append(f"run_id IS {'' if level == 'session' else 'NOT '}NULL")
    if sessions:
        # Feedback that names only its run belongs to that run's session.
        some = marks(sessions)
        where.append(
            f"(session_id IN ({some}) OR session_id IS NULL AND run_id IN "  # noqa: S608
            f"(SELECT id FROM runs WHERE session_id IN ({some})))"
        )
        args += [*sessions, *sessions]
    query = (
        f"SELECT body FROM feedback WHERE {' AND '.join(where)} ORDER BY created_at DESC, id LIMIT ? OFFSET ?"  # noqa: S608
    )
    return [orjson.Fragment(row[0]) for row in connection.execute(query, (*args, limit, offset))]


def read_feedback(connection: sqlite3.Connection, feedback_id: str) -> bytes:
    """Return the JSON of one feedback; 404 if there is none."""
    row = connection.execute("SELECT body FROM feedback WHERE id = ?", (feedback_id,)).fetchone()
    if row is None:
        raise HttpError(404, f"feedback {feedback_id} not found")
    return bytes(row[0])


def update_feedback(connection: sqlite3.Connection, feedback_id: str, change: dict[str, Any]) -> bytes:
    """Change what is told of a feedback and return its JSON; 404 if there is none."""
    document = orjson.loads(read_feedback(connection, feedback_id))
    row = feedback_row({**document, **change, "modified_at": None})
    upsert_feedback(connection, [row])
    return row.body


def delete_feedback(connection: sqlite3.Connection, feedback_id: str) -> None:
    """Delete one feedback; 404 if there is none."""
    if connection.execute("DELETE FROM feedback WHERE id = ?", (feedback_id,)).rowcount == 0:
        raise HttpError(404, f"feedback {feedback_id} not found")
