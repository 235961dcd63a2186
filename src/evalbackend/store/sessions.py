"""Sessions, which the SDK calls projects, and experiments when they belong to a dataset."""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import dataclass, field
from typing import Any

from evalbackend.errors import HttpError
from evalbackend.store.delete import delete_blobs_unused, delete_session_runs
from evalbackend.store.functions import like, marks
from evalbackend.store.scope import read_scope
from evalbackend.store.standing import progress
from evalbackend.store.stats import session_stats
from evalbackend.wire.values import (
    fragment,
    now_text,
    optional_count,
    optional_json,
    optional_text,
    optional_time,
    optional_uuid,
    uuid_text,
)

_COLUMNS = (
    "id", "name", "description", "extra", "start_time", "end_time", "reference_dataset_id", "num_examples",
    "num_repetitions", "evaluator_keys",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM sessions"  # noqa: S608


@dataclass(slots=True)
class SessionQuery:
    """A condition over the sessions table and a page of it."""

    where: list[str] = field(default_factory=lambda: ["1"])
    args: list[Any] = field(default_factory=list)
    limit: int = 100
    offset: int = 0

    def add(self, condition: str, *args: Any) -> None:
        """Narrow the query."""
        self.where.append(condition)
        self.args += args

    def any_of(self, column: str, values: list[str]) -> None:
        """Narrow to rows whose column is one of `values`; no values, no narrowing."""
        if values:
            self.add(f"{column} IN ({marks(values)})", *values)

    def contains(self, column: str, text: str | None) -> None:
        """Narrow to rows whose column contains the text, whatever its case."""
        if text is not None:
            self.add(f"{column} LIKE ? ESCAPE '\\'", like(text))


def create_session(connection: sqlite3.Connection, body: dict[str, Any], upsert: bool) -> str:
    """Make a session and return its id; 409 if the name or the id is taken, unless `upsert`."""
    values = _values(body)
    if not values.get("name"):
        raise HttpError(422, "a session must have a name")
    known = connection.execute("SELECT id FROM sessions WHERE name = ?", (values["name"],)).fetchone()
    if known is not None and upsert:
        values.pop("name")
        _set(connection, known[0], values)
        return str(known[0])
    session_id = uuid_text(body.get("id") or str(uuid.uuid4()), "id")
    values.setdefault("start_time", now_text())
    try:
        connection.execute(
            f"INSERT INTO sessions (id, {', '.join(values)}) VALUES (?, {marks(values)})",  # noqa: S608
            (session_id, *values.values()),
        )
    except sqlite3.IntegrityError:
        raise HttpError(409, "Session with this name or id already exists.") from None
    return session_id


def update_session(connection: sqlite3.Connection, session_id: str, body: dict[str, Any]) -> None:
    """Change what is not null; `extra` is replaced as a whole. 404 if unknown, 409 if the name is taken."""
    _known(connection, session_id)
    try:
        _set(connection, session_id, _values(body))
    except sqlite3.IntegrityError:
        raise HttpError(409, "Session with this name already exists.") from None


def delete_session(connection: sqlite3.Connection, session_id: str) -> None:
    """Delete a session with its runs and feedback; 404 if unknown."""
    _known(connection, session_id)
    delete_session_runs(connection, session_id)
    connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
    delete_blobs_unused(connection)


def read_session(
    connection: sqlite3.Connection, tenant_id: str, session_id: str, include_stats: bool
) -> dict[str, Any]:
    """Return one session; 404 if unknown."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (session_id,)).fetchone()
    if row is None:
        raise HttpError(404, f"session {session_id} not found")
    return _shown(connection, tenant_id, row, include_stats)


def list_sessions(
    connection: sqlite3.Connection, tenant_id: str, query: SessionQuery, include_stats: bool
) -> list[dict[str, Any]]:
    """Return a page of sessions, latest start first."""
    tail = f"WHERE {' AND '.join(query.where)} ORDER BY start_time DESC, id DESC LIMIT ? OFFSET ?"
    rows = connection.execute(f"{_SELECT} {tail}", (*query.args, query.limit, query.offset)).fetchall()
    return [_shown(connection, tenant_id, row, include_stats) for row in rows]


def _values(body: dict[str, Any]) -> dict[str, Any]:
    extra = optional_json(body.get("extra"), dict, "extra")
    keys = optional_json(body.get("evaluator_keys"), list, "evaluator_keys")
    values = {
        "name": optional_text(body.get("name"), "name"),
        "description": optional_text(body.get("description"), "description"),
        "extra": None if extra is None else extra.decode(),
        "start_time": optional_time(body.get("start_time"), "start_time"),
        "end_time": optional_time(body.get("end_time"), "end_time"),
        "reference_dataset_id": optional_uuid(body.get("reference_dataset_id"), "reference_dataset_id"),
        "num_examples": optional_count(body.get("num_examples"), "num_examples"),
        "num_repetitions": optional_count(body.get("num_repetitions"), "num_repetitions"),
        "evaluator_keys": None if keys is None else keys.decode(),
    }
    return {name: value for name, value in values.items() if value is not None}


def _known(connection: sqlite3.Connection, session_id: str) -> None:
    if connection.execute("SELECT 1 FROM sessions WHERE id = ?", (session_id,)).fetchone() is None:
        raise HttpError(404, f"session {session_id} not found")


def _set(connection: sqlite3.Connection, session_id: str, values: dict[str, Any]) -> None:
    if values:
        sets = ", ".join(f"{name} = ?" for name in values)
        connection.execute(f"UPDATE sessions SET {sets} WHERE id = ?", (*values.values(), session_id))  # noqa: S608


def _shown(
    connection: sqlite3.Connection, tenant_id: str, row: tuple[Any, ...], include_stats: bool
) -> dict[str, Any]:
    shown = dict(zip(_COLUMNS, row, strict=True))
    shown["tenant_id"] = tenant_id
    shown["extra"] = fragment(shown["extra"])
    shown["evaluator_keys"] = fragment(shown["evaluator_keys"])
    shown["test_run_number"] = _number(connection, shown)
    shown["experiment_progress"] = None  # a statistic, which costs a look at every run
    if include_stats:
        shown.update(session_stats(connection, shown["id"]))
        shown["experiment_progress"] = progress(connection, read_scope(connection, shown["id"]))
    return shown


def _number(connection: sqlite3.Connection, session: dict[str, Any]) -> int | None:
    """Return which experiment over its dataset this is, from 1 in order of time; None for what is none."""
    if session["reference_dataset_id"] is None:
        return None
    sql = "SELECT COUNT(*) FROM sessions WHERE reference_dataset_id = ? AND (start_time, id) <= (?, ?)"
    place = (session["reference_dataset_id"], session["start_time"], session["id"])
    return int(connection.execute(sql, place).fetchone()[0])
