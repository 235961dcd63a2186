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
