"""Tokens for feedback without a key: made for one run and one key, and good until they expire."""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any

from evalbackend.errors import HttpError
from evalbackend.wire.values import now_text


@dataclass(frozen=True, slots=True)
class NewToken:
    """What a token is to be good for; `feedback_id` is the id of the first feedback that it gives."""

    run_id: str
    key: str
    feedback_id: str | None
    expires_at: str


def create_tokens(connection: sqlite3.Connection, wanted: list[NewToken]) -> list[dict[str, str]]:
    """Make tokens and return them, in the order asked for."""
    made = [(str(uuid.uuid4()), new) for new in wanted]
    now = now_text()
    connection.executemany(
        "INSERT INTO feedback_tokens (token, run_id, key, feedback_id, expires_at, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [(token, new.run_id, new.key, new.feedback_id, new.expires_at, now) for token, new in made],
    )
    return [{"id": token, "expires_at": new.expires_at} for token, new in made]


def list_tokens(connection: sqlite3.Connection, run_id: str, limit: int, offset: int) -> list[dict[str, str]]:
    """Return a page of the tokens of a run, expired ones too."""
    sql = (
        "SELECT token, expires_at FROM feedback_tokens WHERE run_id = ? ORDER BY created_at, token "
        "LIMIT ? OFFSET ?"
    )
    rows = connection.execute(sql, (run_id, limit, offset))
    return [{"id": token, "expires_at": expires} for token, expires in rows]


def feedback_of_token(connection: sqlite3.Connection, token: str) -> dict[str, Any]:
    """Return the beginnings of a feedback: 404 for an unknown token, 403 for one that has expired.

    A token may be used until it expires, and every use is a feedback of its own: the id that the SDK gives to
    each token (client.py:8360) is that of the first use only, or the second person's word would wipe the first's.
    """
    sql = (
        "SELECT t.run_id, t.key, CASE WHEN EXISTS (SELECT 1 FROM feedback f WHERE f.id = t.feedback_id) "
        "THEN NULL ELSE t.feedback_id END, t.expires_at, r.trace_id, r.session_id FROM feedback_tokens t "
        "LEFT JOIN runs r ON r.id = t.run_id WHERE t.token = ?"
    )
    row = connection.execute(sql, (token,)).fetchone()
    if row is None:
        raise HttpError(404, "the feedback token is not known")
    run_id, key, feedback_id, expires, trace_id, session_id = row
    if expires < now_text():
        raise HttpError(403, "the feedback token has expired: ask for a new one")
    return {"run_id": run_id, "key": key, "id": feedback_id, "trace_id": trace_id, "session_id": session_id}
