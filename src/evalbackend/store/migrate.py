"""Bring a store file to the schema of this version."""

from __future__ import annotations

import secrets
import sqlite3
import uuid
from importlib import resources

from evalbackend.errors import StoreError
from evalbackend.wire.values import now_text

# MIGRATIONS[n] is the script that takes a store of version n to version n + 1; schema.sql makes version 1.
MIGRATIONS: dict[int, str] = {
    1: "to_2_dataset_versions.sql",
    2: "to_3_dataset_shares.sql",
    3: "to_4_annotation_queues.sql",
    4: "to_5_comparative.sql",
    5: "to_6_run_shares.sql",
    6: "to_7_feedback_tokens.sql",
    7: "to_8_late_runs.sql",
    8: "to_9_queue_items.sql",
    9: "to_10_usage.sql",
    10: "to_11_evaluators.sql",
    11: "to_12_usage_once.sql",
    12: "to_13_feedback.sql",
    13: "to_14_traces.sql",
    14: "to_15_ends.sql",
}
SCHEMA_VERSION = 1 + len(MIGRATIONS)


def schema_of(connection: sqlite3.Connection) -> int:
    """Return the version of the store's schema, 0 for an empty file; StoreError if it is newer than ours."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the store has schema {version}, this version knows {SCHEMA_VERSION}: update evalrunner"
        )
    return version


def migrate(connection: sqlite3.Connection) -> None:
    """Create the schema, or take an older store forward, in one transaction.

    If the process dies here, the file is as it was before. A store of a newer version is refused.
    """
    version = schema_of(connection)
    if version == SCHEMA_VERSION:
        return
    steps = [MIGRATIONS[n] for n in range(max(version, 1), SCHEMA_VERSION)]
    scripts = [_script(name) for name in (["schema.sql"] if version == 0 else []) + steps]
    connection.executescript("BEGIN IMMEDIATE;\n" + "\n".join(scripts))
    if version == 0:
        _first_rows(connection)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _script(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _first_rows(connection: sqlite3.Connection) -> None:
    # Without any project the SDK asks GET /sessions?limit=1 once per listed example; hence "default".
    rows = [("tenant_id", str(uuid.uuid4())), ("url_secret", secrets.token_hex(32))]
    connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", rows)
    connection.execute(
        "INSERT INTO sessions (id, name, start_time) VALUES (?, 'default', ?)",
        (str(uuid.uuid4()), now_text()),
    )
