"""Datasets."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from typing import Any

from evalbackend.errors import HttpError
from evalbackend.store.delete import delete_blobs_unused
from evalbackend.store.functions import marks
from evalbackend.store.schemas import checked_schema
from evalbackend.store.sessions import SessionQuery, delete_session
from evalbackend.store.versions import new_version
from evalbackend.wire.values import fragment, now_text, optional_json, optional_text, uuid_text

_COLUMNS = (
    "id", "name", "description", "data_type", "inputs_schema", "outputs_schema", "transformations",
    "metadata", "created_at", "modified_at",
)  # fmt: skip
_COUNTS = (
    "(SELECT COUNT(*) FROM example_versions e WHERE e.dataset_id = datasets.id AND e.valid_to IS NULL)",
    "(SELECT COUNT(*) FROM sessions s WHERE s.reference_dataset_id = datasets.id)",
    "(SELECT MAX(start_time) FROM sessions s WHERE s.reference_dataset_id = datasets.id)",
)
_SELECT = f"SELECT {', '.join((*_COLUMNS, *_COUNTS))} FROM datasets"  # noqa: S608
_TYPES = ("kv", "llm", "chat")


def create_dataset(connection: sqlite3.Connection, body: dict[str, Any]) -> str:
    """Make a dataset and return its id; 409 if the name or the id is taken."""
    values = _values(body)
    dataset_id = uuid_text(body.get("id") or str(uuid.uuid4()), "id")
    now = now_text()
    try:
        connection.execute(
            f"INSERT INTO datasets (id, created_at, modified_at, {', '.join(values)}) "  # noqa: S608
            f"VALUES (?, ?, ?, {marks(values)})",
            (dataset_id, now, now, *values.values()),
        )
    except sqlite3.IntegrityError:
        raise HttpError(409, "Dataset with this name already exists.") from None
    return dataset_id


def update_dataset(connection: sqlite3.Connection, dataset_id: str, body: dict[str, Any]) -> None:
    """Change what is said, null included; 404 if unknown, 409 if the new name is taken."""
    values = _said(body)
    new_version(connection, dataset_id)
    try:
        for name, value in values.items():
            connection.execute(f"UPDATE datasets SET {name} = ? WHERE id = ?", (value, dataset_id))  # noqa: S608
    except sqlite3.IntegrityError:
        raise HttpError(409, "Dataset with this name already exists.") from None


def _values(body: dict[str, Any]) -> dict[str, Any]:
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise HttpError(422, "a dataset must have a name")
    data_type = body.get("data_type") or "kv"
    if not isinstance(data_type, str) or data_type not in _TYPES:
        raise HttpError(422, f"data_type must be one of {', '.join(_TYPES)}")
    return {"name": name, "data_type": data_type, **_said({**body, "name": name})}


def _said(body: dict[str, Any]) -> dict[str, Any]:
    """Return the columns for what the body says; a name cannot be taken away."""
    extra = body.get("extra")
    if body.get("metadata") is None and isinstance(extra, dict) and "metadata" in extra:
        body = {**body, "metadata": extra["metadata"]}
    said = {column: read(body[key], key) for key, (column, read) in _READ.items() if key in body}
    return {column: value for column, value in said.items() if column != "name" or value}


def _metadata(value: object, what: str) -> str | None:
    text = optional_json(value, dict, what)
    return None if text is None else text.decode()


def _steps(value: object, what: str) -> bytes | None:
    return optional_json(value, list, what)


_READ: dict[str, tuple[str, Callable[[object, str], Any]]] = {
    "name": ("name", optional_text),
    "description": ("description", optional_text),
    "inputs_schema_definition": ("inputs_schema", checked_schema),
    "outputs_schema_definition": ("outputs_schema", checked_schema),
    "transformations": ("transformations", _steps),
    "metadata": ("metadata", _metadata),
}


def read_dataset(connection: sqlite3.Connection, tenant_id: str, dataset_id: str) -> dict[str, Any]:
    """Return one dataset; 404 if unknown."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (dataset_id,)).fetchone()
    if row is None:
        raise HttpError(404, f"dataset {dataset_id} not found")
    return _shown(tenant_id, row)


def list_datasets(
    connection: sqlite3.Connection, tenant_id: str, query: SessionQuery
) -> list[dict[str, Any]]:
    """Return a page of datasets, newest first."""
    tail = f"WHERE {' AND '.join(query.where)} ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
    rows = connection.execute(f"{_SELECT} {tail}", (*query.args, query.limit, query.offset))
    return [_shown(tenant_id, row) for row in rows]


def require_dataset(connection: sqlite3.Connection, dataset_id: str) -> None:
    """Raise 404 unless the dataset exists."""
    if connection.execute("SELECT 1 FROM datasets WHERE id = ?", (dataset_id,)).fetchone() is None:
        raise HttpError(404, f"dataset {dataset_id} not found")


def delete_dataset(connection: sqlite3.Connection, dataset_id: str) -> None:
    """Delete a dataset, its examples and its experiments with their runs; 404 if unknown."""
    require_dataset(connection, dataset_id)
    sessions = connection.execute(
        "SELECT id FROM sessions WHERE reference_dataset_id = ?", (dataset_id,)
    ).fetchall()
    for (session_id,) in sessions:
        delete_session(connection, session_id)
    connection.execute(
        "DELETE FROM example_attachments WHERE version IN "
        "(SELECT version FROM example_versions WHERE dataset_id = ?)",
        (dataset_id,),
    )
    for table in ("example_versions", "dataset_versions", "dataset_tags", "dataset_shares"):
        connection.execute(f"DELETE FROM {table} WHERE dataset_id = ?", (dataset_id,))  # noqa: S608
    connection.execute("DELETE FROM datasets WHERE id = ?", (dataset_id,))
    delete_blobs_unused(connection)


def _shown(tenant_id: str, row: tuple[Any, ...]) -> dict[str, Any]:
    names = (*_COLUMNS, "example_count", "session_count", "last_session_start_time")
    shown = dict(zip(names, row, strict=True))
    shown["tenant_id"] = tenant_id
    shown["metadata"] = fragment(shown["metadata"])
    shown["transformations"] = fragment(shown["transformations"])
    shown["inputs_schema_definition"] = fragment(shown.pop("inputs_schema"))
    shown["outputs_schema_definition"] = fragment(shown.pop("outputs_schema"))
    return shown
