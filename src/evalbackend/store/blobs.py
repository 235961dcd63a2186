"""The bytes of attachments."""

from __future__ import annotations

import sqlite3

from evalbackend.errors import HttpError


def read_blob(connection: sqlite3.Connection, sha: str) -> bytes:
    """Return the bytes with this SHA-256; 404 if what named them has been deleted."""
    row = connection.execute("SELECT data FROM blobs WHERE sha = ?", (sha,)).fetchone()
    if row is None:
        raise HttpError(404, "the attachment has been deleted")
    return bytes(row[0])
