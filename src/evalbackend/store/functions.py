"""SQL functions and small helpers that SQLite lacks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import orjson


def register(connection: sqlite3.Connection) -> None:
    """Add `json_contains(document, wanted)`: 1 if every key of `wanted` is in `document` with that value."""
    connection.create_function("json_contains", 2, _json_contains, deterministic=True)


def marks(values: Iterable[object]) -> str:
    """Return `?,?,?` for an IN list."""
    return ",".join("?" for _ in values)


def in_traces(some: str) -> str:
    """Return the condition that a run is of `some` traces: what an IN list holds; its arguments are needed twice.

    A root's trace is its own id, by which the primary key finds it: only the other runs are in the index
    runs_by_trace. SQLite uses that where a query says so in its words, and reads all runs where none does.
    """
    return (
        f"runs.rowid IN (SELECT rowid FROM runs WHERE trace_id <> id AND trace_id IN ({some}) "  # noqa: S608  ? only
        f"UNION ALL SELECT rowid FROM runs WHERE trace_id = id AND id IN ({some}))"
    )


def like(text: str) -> str:
    """Return a LIKE pattern (ESCAPE '\\') that finds `text` anywhere."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


@lru_cache(maxsize=64)
def _parsed(wanted: str) -> Any:
    return orjson.loads(wanted)


def _json_contains(document: str | None, wanted: str) -> int:
    if document is None:
        return 0
    return int(_contains(orjson.loads(document), _parsed(wanted)))


def _contains(document: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(document, dict) and all(
            k in document and _contains(document[k], v) for k, v in wanted.items()
        )
    return bool(document == wanted)
