"""Bring a store file to the schema of this version."""

from __future__ import annotations

import secrets
import sqlite3
import uuid
from importlib import resources

from evalrunner.backend.errors import StoreError
from evalrunner.backend.wire import now_text

SCHEMA_VERSION = 1

# MIGRATIONS[n] is the script that takes a store of version n to version n + 1.
MIGRATIONS: dict[int, str] = {}


def migrate(connection: sqlite3.Connection) -> None:
    """Create the schema, or take an older store forward, in one transaction.

    If the process dies here, the file is as it was before. A store of a newer version is refused.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the store has schema {version}, this version knows {SCHEMA_VERSION}: update evalrunner"
        )
    if version == SCHEMA_VERSION:
        return
    steps = [_schema()] if version == 0 else [MIGRATIONS[n] for n in range(version, SCHEMA_VERSION)]
    connection.executescript("BEGIN IMMEDIATE;\n" + "\n".join(steps))
    if version == 0:
        _first_rows(connection)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _schema() -> str:
    return resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")


def _first_rows(connection: sqlite3.Connection) -> None:
    # Without any project the SDK asks GET /sessions?limit=1 once per listed example; hence "default".
    rows = [("tenant_id", str(uuid.uuid4())), ("url_secret", secrets.token_hex(32))]
    connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", rows)
    connection.execute(
        "INSERT INTO sessions (id, name, start_time) VALUES (?, 'default', ?)",
        (str(uuid.uuid4()), now_text()),
    )
