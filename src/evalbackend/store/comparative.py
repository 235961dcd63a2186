"""Comparative experiments: experiments over one dataset, judged against each other."""

from __future__ import annotations

import sqlite3
import uuid
from typing import Any

from evalbackend.errors import HttpError
from evalbackend.store.functions import like
from evalbackend.store.stats import comparative_feedback_stats
from evalbackend.wire.values import fragment, now_text, optional_json, optional_text, optional_time, uuid_text

_COLUMNS = ("id", "name", "description", "reference_dataset_id", "created_at", "modified_at", "extra")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM comparative_experiments"  # noqa: S608


def create_comparative(connection: sqlite3.Connection, body: dict[str, Any]) -> str:
    """Make a comparison and return its id; 404 for an unknown experiment, 409 if the id is taken."""
    sessions = body.get("experiment_ids")
    if not isinstance(sessions, list) or not sessions:
        raise HttpError(422, "experiment_ids must be a list of ids, and not empty")
    ids = [uuid_text(session, "experiment_ids") for session in sessions]
    dataset_id = uuid_text(body.get("reference_dataset_id"), "reference_dataset_id")
    for session_id in ids:
        _require_experiment(connection, session_id, dataset_id)
    made, now = uuid_text(body.get("id") or str(uuid.uuid4()), "id"), now_text()
    values = (
        made,
        optional_text(body.get("name"), "name"),
        optional_text(body.get("description"), "description"),
        dataset_id,
        optional_time(body.get("created_at"), "created_at") or now,
        optional_time(body.get("modified_at"), "modified_at") or now,
        optional_json(body.get("extra"), dict, "extra"),
    )
    _insert(connection, values, ids)
    return made


def _insert(connection: sqlite3.Connection, values: tuple[Any, ...], sessions: list[str]) -> None:
    try:
        connection.execute(
            f"INSERT INTO comparative_experiments ({', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            values,
        )
    except sqlite3.IntegrityError:
        raise HttpError(409, "a comparative experiment with this id already exists") from None
    connection.executemany(
        "INSERT INTO comparative_sessions (comparative_id, position, session_id) VALUES (?, ?, ?)",
        [(values[0], place, session) for place, session in enumerate(sessions)],
    )


def _require_experiment(connection: sqlite3.Connection, session_id: str, dataset_id: str) -> None:
    row = connection.execute(
        "SELECT reference_dataset_id FROM sessions WHERE id = ?", (session_id,)
    ).fetchone()
    if row is None:
        raise HttpError(404, f"session {session_id} not found")
    if row[0] != dataset_id:
        raise HttpError(422, f"session {session_id} is not an experiment over dataset {dataset_id}")


def list_comparative(
    connection: sqlite3.Connection,
    tenant_id: str,
    dataset_id: str,
    *,
    name: str | None,
    name_contains: str | None,
    ids: list[str],
    limit: int,
    offset: int,
) -> list[dict[str, Any]]:
    """Return a page of a dataset's comparisons, newest first."""
    where, args = ["reference_dataset_id = ?"], [dataset_id]
    if name is not None:
        where.append("name = ?")
        args.append(name)
    if name_contains is not None:
        where.append("name LIKE ? ESCAPE '\\'")
        args.append(like(name_contains))
    if ids:
        where.append(f"id IN ({','.join('?' * len(ids))})")
        args += ids
    tail = f"WHERE {' AND '.join(where)} ORDER BY created_at DESC, id LIMIT ? OFFSET ?"
    rows = connection.execute(f"{_SELECT} {tail}", (*args, limit, offset)).fetchall()
    return [_shown(connection, tenant_id, row) for row in rows]


def read_comparative(connection: sqlite3.Connection, tenant_id: str, comparative_id: str) -> dict[str, Any]:
    """Return one comparison; 404 if unknown."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (comparative_id,)).fetchone()
    if row is None:
        raise HttpError(404, f"comparative experiment {comparative_id} not found")
    return _shown(connection, tenant_id, row)


def require_comparative(connection: sqlite3.Connection, comparative_id: str) -> None:
    """Raise 404 unless the comparison exists."""
    sql = "SELECT 1 FROM comparative_experiments WHERE id = ?"
    if connection.execute(sql, (comparative_id,)).fetchone() is None:
        raise HttpError(404, f"comparative experiment {comparative_id} not found")


def delete_comparative(connection: sqlite3.Connection, comparative_id: str) -> None:
    """Delete a comparison; its feedback stays with the runs. 404 if unknown."""
    sql = "DELETE FROM comparative_experiments WHERE id = ?"
    if connection.execute(sql, (comparative_id,)).rowcount == 0:
        raise HttpError(404, f"comparative experiment {comparative_id} not found")


def _shown(connection: sqlite3.Connection, tenant_id: str, row: tuple[Any, ...]) -> dict[str, Any]:
    shown = dict(zip(_COLUMNS, row, strict=True))
    sql = (
        "SELECT c.session_id, s.name FROM comparative_sessions c LEFT JOIN sessions s ON s.id = c.session_id "
        "WHERE c.comparative_id = ? ORDER BY c.position"
    )
    told = [{"id": session, "name": name} for session, name in connection.execute(sql, (shown["id"],))]
    return {
        **shown,
        "tenant_id": tenant_id,
        "extra": fragment(shown["extra"]),
        "experiments_info": told,
        "experiment_ids": [one["id"] for one in told],
        "feedback_stats": comparative_feedback_stats(connection, shown["id"]),
    }
