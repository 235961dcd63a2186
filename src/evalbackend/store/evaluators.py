"""Online evaluators: kept and shown as clients describe them. Nothing here runs one."""

from __future__ import annotations

import sqlite3
import uuid
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.store.sessions import SessionQuery
from evalbackend.wire.values import now_text, optional_json

TYPES = ("llm", "code", "decision_model")
_PARTS = {"code_evaluator": "code", "llm_evaluator": "llm"}
_SELECT = "SELECT id, name, type, created_at, updated_at, code, llm FROM online_evaluators"


def create_evaluator(connection: sqlite3.Connection, body: dict[str, Any]) -> str:
    """Keep an evaluator and return its id; 422 if it is not described as its type wants it."""
    kind, made, now = body.get("type"), str(uuid.uuid4()), now_text()
    if kind not in TYPES:
        raise HttpError(422, f"type must be one of {', '.join(TYPES)}")
    parts = {part: optional_json(body.get(part), dict, part) for part in _PARTS}
    if kind != "decision_model" and parts[f"{kind}_evaluator"] is None:
        raise HttpError(422, f"an evaluator of the type {kind} needs {kind}_evaluator")
    connection.execute(
        "INSERT INTO online_evaluators (id, name, type, created_at, updated_at, code, llm) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (made, _name(body.get("name")), kind, now, now, *parts.values()),
    )
    return made


def update_evaluator(connection: sqlite3.Connection, evaluator_id: str, body: dict[str, Any]) -> None:
    """Change what is said, field by field; 404 if unknown."""
    before = read_evaluator(connection, "", evaluator_id)
    name = before["name"] if body.get("name") is None else _name(body["name"])
    values = []
    for part in _PARTS:
        optional_json(body.get(part), dict, part)
        merged = {**(before[part] or {}), **(body.get(part) or {})}
        merged.pop("evaluator_id", None)
        values.append(orjson.dumps(merged) if merged else None)
    connection.execute(
        "UPDATE online_evaluators SET name = ?, updated_at = ?, code = ?, llm = ? WHERE id = ?",
        (name, now_text(), *values, evaluator_id),
    )


def read_evaluator(connection: sqlite3.Connection, tenant_id: str, evaluator_id: str) -> dict[str, Any]:
    """Return one evaluator; 404 if unknown."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (evaluator_id,)).fetchone()
    if row is None:
        raise HttpError(404, f"evaluator {evaluator_id} not found")
    return _shown(tenant_id, row)


def list_evaluators(
    connection: sqlite3.Connection, tenant_id: str, query: SessionQuery
) -> list[dict[str, Any]]:
    """Return a page of evaluators, newest first."""
    tail = f"WHERE {' AND '.join(query.where)} ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
    rows = connection.execute(f"{_SELECT} {tail}", (*query.args, query.limit, query.offset))
    return [_shown(tenant_id, row) for row in rows]


def delete_evaluators(connection: sqlite3.Connection, ids: list[str]) -> list[str]:
    """Delete evaluators and return the ids of those that were there."""
    sql = "DELETE FROM online_evaluators WHERE id = ?"
    return [one for one in ids if connection.execute(sql, (one,)).rowcount]


def _name(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise HttpError(422, "an evaluator must have a name")
    return value


def _shown(tenant_id: str, row: tuple[Any, ...]) -> dict[str, Any]:
    evaluator_id, name, kind, created, updated, *parts = row
    told = {
        part: None if raw is None else {**orjson.loads(raw), "evaluator_id": evaluator_id}
        for part, raw in zip(_PARTS, parts, strict=True)
    }
    head = {"id": evaluator_id, "name": name, "type": kind, "tenant_id": tenant_id, **told}
    return {**head, "created_at": created, "updated_at": updated, "feedback_keys": [], "run_rules": []}
