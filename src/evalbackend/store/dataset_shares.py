"""Shared datasets: a token opens one dataset to readers without a key."""

from __future__ import annotations

import sqlite3
import uuid

from evalbackend.errors import HttpError
from evalbackend.store.datasets import require_dataset
from evalbackend.wire.values import now_text


def share_dataset(connection: sqlite3.Connection, dataset_id: str) -> dict[str, str]:
    """Share a dataset; sharing it again gives the same token. 404 if there is no such dataset."""
    require_dataset(connection, dataset_id)
    connection.execute(
        "INSERT OR IGNORE INTO dataset_shares (dataset_id, share_token, created_at) VALUES (?, ?, ?)",
        (dataset_id, str(uuid.uuid4()), now_text()),
    )
    return read_share(connection, dataset_id)


def read_share(connection: sqlite3.Connection, dataset_id: str) -> dict[str, str]:
    """Return the dataset's token; 404 if it is not shared."""
    sql = "SELECT share_token FROM dataset_shares WHERE dataset_id = ?"
    row = connection.execute(sql, (dataset_id,)).fetchone()
    if row is None:
        raise HttpError(404, f"dataset {dataset_id} is not shared")
    return {"dataset_id": dataset_id, "share_token": row[0]}


def unshare_dataset(connection: sqlite3.Connection, dataset_id: str) -> None:
    """Take the token away for good; a dataset that is not shared stays so. 404 for an unknown dataset."""
    require_dataset(connection, dataset_id)
    connection.execute("DELETE FROM dataset_shares WHERE dataset_id = ?", (dataset_id,))


def shared_dataset(connection: sqlite3.Connection, token: str) -> str:
    """Return the id of the dataset that a token opens; 404 if it opens none."""
    sql = "SELECT dataset_id FROM dataset_shares WHERE share_token = ?"
    row = connection.execute(sql, (token,)).fetchone()
    if row is None:
        raise HttpError(404, "the link is not known, or is no longer shared")
    return str(row[0])
