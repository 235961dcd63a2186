"""Shared runs: a token opens a run and its trace to readers without a key."""

from __future__ import annotations

import sqlite3
import uuid

from evalbackend.errors import HttpError
from evalbackend.wire.values import now_text


def share_run(connection: sqlite3.Connection, run_id: str, token: str | None = None) -> dict[str, str]:
    """Share a run under `token` or a new one; a run that is shared keeps its token. 404 for an unknown run."""
    if connection.execute("SELECT 1 FROM runs WHERE id = ? AND post_n > 0", (run_id,)).fetchone() is None:
        raise HttpError(404, f"run {run_id} not found")
    known = shared_under(connection, run_id)
    if known is None:
        _insert(connection, run_id, token or str(uuid.uuid4()))
    return {"run_id": run_id, "share_token": shared_under(connection, run_id) or ""}


def _insert(connection: sqlite3.Connection, run_id: str, token: str) -> None:
    sql = "INSERT INTO run_shares (run_id, share_token, created_at) VALUES (?, ?, ?)"
    try:
        connection.execute(sql, (run_id, token, now_text()))
    except sqlite3.IntegrityError:
        raise HttpError(409, "this share token belongs to another run") from None


def share_trace(connection: sqlite3.Connection, trace_id: str, session_id: str) -> dict[str, str]:
    """Share the root of a trace of a project; 404 if it is not there."""
    sql = "SELECT 1 FROM runs WHERE id = ? AND session_id = ? AND parent_run_id IS NULL"
    if connection.execute(sql, (trace_id, session_id)).fetchone() is None:
        raise HttpError(404, f"trace {trace_id} not found in project {session_id}")
    return {"share_token": share_run(connection, trace_id)["share_token"]}


def shared_under(connection: sqlite3.Connection, run_id: str) -> str | None:
    """Return the token of a run, None if it is not shared."""
    row = connection.execute("SELECT share_token FROM run_shares WHERE run_id = ?", (run_id,)).fetchone()
    return None if row is None else str(row[0])


def unshare_run(connection: sqlite3.Connection, run_id: str) -> None:
    """Take a run's token away for good; a run that is not shared stays so."""
    connection.execute("DELETE FROM run_shares WHERE run_id = ?", (run_id,))


def shared_run(connection: sqlite3.Connection, token: str) -> tuple[str, str]:
    """Return (run id, trace id) of what a token opens; 404 if it opens nothing."""
    sql = "SELECT id, trace_id FROM run_shares JOIN runs ON runs.id = run_id WHERE share_token = ? AND post_n > 0"
    row = connection.execute(sql, (token,)).fetchone()
    if row is None:
        raise HttpError(404, "the link is not known, or is no longer shared")
    return str(row[0]), str(row[1])
