"""Annotation queues themselves; the runs in them stand in queue_runs."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.store.sessions import SessionQuery
from evalbackend.wire.values import (
    now_text,
    optional_count,
    optional_json,
    optional_text,
    optional_uuid,
    uuid_text,
)

_DEFAULTS: dict[str, Any] = {
    "description": None,
    "rubric_instructions": None,
    "rubric_items": None,
    "metadata": None,
    "default_dataset": None,
    "num_reviewers_per_item": 1,
    "enable_reservations": True,
    "reservation_minutes": 1,
    "reviewer_access_mode": "any",
}
_RUBRIC = ("rubric_instructions", "rubric_items")
_KINDS: dict[str, type] = {"rubric_items": list, "metadata": dict}
_TOTAL = (
    "(SELECT COUNT(*) FROM annotation_queue_runs q JOIN runs ON runs.id = q.run_id AND runs.post_n > 0 "
    "WHERE q.queue_id = annotation_queues.id)"
)
_SELECT = f"SELECT id, name, created_at, updated_at, settings, {_TOTAL} FROM annotation_queues"  # noqa: S608


def create_queue(connection: sqlite3.Connection, body: dict[str, Any]) -> str:
    """Make a queue and return its id; 409 if the id is taken."""
    queue_id, now = uuid_text(body.get("id") or str(uuid.uuid4()), "id"), now_text()
    name = _name(body.get("name"))
    settings = orjson.dumps({**_DEFAULTS, **_said(body)})
    try:
        connection.execute(
            "INSERT INTO annotation_queues (id, name, created_at, updated_at, settings) VALUES (?, ?, ?, ?, ?)",
            (queue_id, name, now, now, settings),
        )
    except sqlite3.IntegrityError:
        raise HttpError(409, "Annotation queue with this id already exists.") from None
    return queue_id


def update_queue(connection: sqlite3.Connection, queue_id: str, body: dict[str, Any]) -> None:
    """Change what is said, null included; 404 if unknown."""
    sql = "SELECT name, settings FROM annotation_queues WHERE id = ?"
    row = connection.execute(sql, (queue_id,)).fetchone()
    if row is None:
        raise HttpError(404, f"annotation queue {queue_id} not found")
    name = row[0] if body.get("name") is None else _name(body["name"])
    settings = orjson.dumps({**orjson.loads(row[1]), **_said(body)})
    connection.execute(
        "UPDATE annotation_queues SET name = ?, settings = ?, updated_at = ? WHERE id = ?",
        (name, settings, now_text(), queue_id),
    )


def delete_queue(connection: sqlite3.Connection, queue_id: str) -> None:
    """Delete a queue; its runs stay where they are. 404 if unknown."""
    require_queue(connection, queue_id)
    connection.execute("DELETE FROM annotation_queue_runs WHERE queue_id = ?", (queue_id,))
    connection.execute("DELETE FROM annotation_queues WHERE id = ?", (queue_id,))


def read_queue(connection: sqlite3.Connection, tenant_id: str, queue_id: str) -> dict[str, Any]:
    """Return one queue with its rubric, null where it has none; 404 if unknown."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (queue_id,)).fetchone()
    if row is None:
        raise HttpError(404, f"annotation queue {queue_id} not found")
    return _shown(tenant_id, row)


def list_queues(connection: sqlite3.Connection, tenant_id: str, query: SessionQuery) -> list[dict[str, Any]]:
    """Return a page of queues, newest first."""
    tail = f"WHERE {' AND '.join(query.where)} ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
    rows = connection.execute(f"{_SELECT} {tail}", (*query.args, query.limit, query.offset))
    return [briefly(_shown(tenant_id, row)) for row in rows]


def briefly(queue: dict[str, Any]) -> dict[str, Any]:
    """Return a queue as the service tells it where it does not read that one queue: a rubric only if it has one."""
    return {name: value for name, value in queue.items() if value is not None or name not in _RUBRIC}


def queues_of_run(connection: sqlite3.Connection, tenant_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return the queues that a run is in, newest first."""
    where = "WHERE id IN (SELECT queue_id FROM annotation_queue_runs WHERE run_id = ?)"
    rows = connection.execute(f"{_SELECT} {where} ORDER BY created_at DESC, id DESC", (run_id,))
    return [briefly(_shown(tenant_id, row)) for row in rows]


def require_queue(connection: sqlite3.Connection, queue_id: str) -> None:
    """Raise 404 unless the queue exists."""
    if connection.execute("SELECT 1 FROM annotation_queues WHERE id = ?", (queue_id,)).fetchone() is None:
        raise HttpError(404, f"annotation queue {queue_id} not found")


def _name(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise HttpError(422, "a queue must have a name")
    return value


def _said(body: dict[str, Any]) -> dict[str, Any]:
    return {name: _checked(name, body[name]) for name in _DEFAULTS if name in body}


def _checked(name: str, value: Any) -> Any:
    if name in _KINDS:
        optional_json(value, _KINDS[name], name)
        return value
    if name == "enable_reservations":
        if value is not None and not isinstance(value, bool):
            raise HttpError(422, f"{name} must be true or false")
        return value
    check: Callable[[object, str], Any] = optional_text
    if name in ("num_reviewers_per_item", "reservation_minutes"):
        check = optional_count
    return (optional_uuid if name == "default_dataset" else check)(value, name)


def _shown(tenant_id: str, row: tuple[Any, ...]) -> dict[str, Any]:
    queue_id, name, created, updated, settings, total = row
    return {
        "id": queue_id,
        "name": name,
        "tenant_id": tenant_id,
        "queue_type": "single",
        "created_at": created,
        "updated_at": updated,
        "total_runs": total,
        **orjson.loads(settings),
    }
