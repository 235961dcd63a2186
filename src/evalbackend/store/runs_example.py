"""What a run of an experiment tells of its example.

LangSmith's documentation of metadata parameters: "When running experiments on datasets, metadata from the example
is automatically prefixed with ls_example_ and added to the trace"; the SDK's pytest plugin does it itself, with the
remark that the ingest backend does so for examples that are there when the run comes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import orjson

from evalbackend.store.functions import marks

_PREFIX = "ls_example_"
_AT_ONCE = 500


def tell_examples(connection: sqlite3.Connection, run_ids: Iterable[str]) -> None:
    """Copy the metadata of their examples into these runs' own; what a run says itself stays."""
    ids = list(run_ids)
    for at in range(0, len(ids), _AT_ONCE):
        some = ids[at : at + _AT_ONCE]
        sql = (
            "SELECT runs.id, runs.extra, told.metadata FROM runs JOIN example_versions told "  # noqa: S608
            "ON told.example_id = runs.reference_example_id AND told.valid_to IS NULL "
            f"WHERE runs.id IN ({marks(some)})"
        )
        rows = connection.execute(sql, some).fetchall()
        changed = [(extra, run_id) for run_id, raw, told in rows if (extra := _with(raw, told)) is not None]
        connection.executemany("UPDATE runs SET extra = ? WHERE id = ?", changed)


def _with(raw: bytes | None, told: str) -> bytes | None:
    extra = orjson.loads(raw) if raw else {}
    own = extra.get("metadata") or {}
    metadata = {f"{_PREFIX}{key}": value for key, value in orjson.loads(told).items()}
    if not isinstance(own, dict) or metadata.keys() <= own.keys():
        return None
    return orjson.dumps({**extra, "metadata": {**metadata, **own}})
