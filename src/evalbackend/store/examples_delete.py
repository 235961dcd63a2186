"""Delete examples: softly, so that older versions stay readable, or with all that was ever in them."""

from __future__ import annotations

import sqlite3

from evalbackend.errors import HttpError
from evalbackend.store.delete import delete_blobs_unused
from evalbackend.store.versions import new_version


def end_examples(connection: sqlite3.Connection, ids: list[str]) -> None:
    """End examples, all or none; their older versions stay readable with `as_of`. 404 for an unknown one."""
    for dataset_id, some in _by_dataset(connection, ids, "AND valid_to IS NULL").items():
        stamp = new_version(connection, dataset_id)
        connection.executemany(
            "UPDATE example_versions SET valid_to = ? WHERE example_id = ? AND valid_to IS NULL",
            [(stamp, one) for one in some],
        )


def erase_examples(connection: sqlite3.Connection, ids: list[str]) -> None:
    """Erase examples from every version, all or none, deleted ones too; 404 for an unknown one."""
    for dataset_id, some in _by_dataset(connection, ids, "").items():
        new_version(connection, dataset_id)
        for one in some:
            versions = "SELECT version FROM example_versions WHERE example_id = ?"
            connection.execute(f"DELETE FROM example_attachments WHERE version IN ({versions})", (one,))  # noqa: S608
            connection.execute("DELETE FROM example_versions WHERE example_id = ?", (one,))
    delete_blobs_unused(connection)


def _by_dataset(connection: sqlite3.Connection, ids: list[str], more: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in dict.fromkeys(ids):
        sql = f"SELECT DISTINCT dataset_id FROM example_versions WHERE example_id = ? {more}"  # noqa: S608
        owners = connection.execute(sql, (one,)).fetchall()
        if not owners:
            raise HttpError(404, f"example {one} not found")
        for (dataset_id,) in owners:
            found.setdefault(dataset_id, []).append(one)
    return found
