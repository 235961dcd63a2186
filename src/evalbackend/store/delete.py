"""Delete runs, and what hangs on them."""

from __future__ import annotations

import sqlite3

from evalbackend.store.functions import in_traces


def delete_session_runs(connection: sqlite3.Connection, session_id: str) -> None:
    """Delete all runs of a session, their feedback and attachments, and the session's own feedback."""
    _delete_runs(connection, "session_id = ?", (session_id,))
    connection.execute("DELETE FROM feedback WHERE session_id = ?", (session_id,))


def delete_traces(connection: sqlite3.Connection, session_id: str, trace_ids: list[str]) -> None:
    """Delete whole traces of one session at once; what is not there is not missed."""
    for trace_id in trace_ids:
        _delete_runs(connection, f"{in_traces('?1')} AND session_id = ?2", (trace_id, session_id))
    delete_blobs_unused(connection)


def _delete_runs(connection: sqlite3.Connection, where: str, args: tuple[str, ...]) -> None:
    ids = f"SELECT id FROM runs WHERE {where}"  # noqa: S608
    connection.execute(f"DELETE FROM feedback WHERE run_id IN ({ids})", args)  # noqa: S608
    connection.execute(f"DELETE FROM run_attachments WHERE run_id IN ({ids})", args)  # noqa: S608
    connection.execute(f"DELETE FROM runs WHERE {where}", args)  # noqa: S608


def delete_blobs_unused(connection: sqlite3.Connection) -> None:
    """Delete the bytes of attachments that no run and no version of an example names any more."""
    connection.execute(
        "DELETE FROM blobs WHERE NOT EXISTS (SELECT 1 FROM run_attachments r WHERE r.sha = blobs.sha) "
        "AND NOT EXISTS (SELECT 1 FROM example_attachments e WHERE e.sha = blobs.sha)"
    )
