"""Reading a ledger that another process may be writing: a fact of it, or what happened to an example."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from evalrunner.errors import RunFolderError
from evalrunner.ledger.opening import VERSION
from evalrunner.protocol.lease import ItemState


@dataclass(frozen=True)
class Event:
    """One event of an item.

    Attributes:
        at: seconds since the epoch.
        worker, slot: who it happened with, and which worker's place that one had; None for the supervisor.
        lease: the token under which it happened.
    """

    at: float
    worker: int | None
    slot: int | None
    lease: int | None
    what: str


@dataclass(frozen=True)
class Story:
    """One item as the ledger has it now, and all that ever happened to it."""

    example_id: str
    repetition: int
    state: ItemState
    attempt: int
    run_id: str | None
    error: str | None
    reason: str | None
    events: list[Event]


def peek(path: Path, key: str) -> Any:
    """Return a fact from a ledger, or None."""
    try:
        with contextlib.closing(_only_read(path)) as db:
            row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else orjson.loads(row[0])


class Stories:
    """Reads the stories in one ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def examples(self, beginning: str) -> list[str]:
        """Return the ids that begin so, in the dataset's order; the one alone that is just this."""
        rows = self._db.execute(
            "SELECT id FROM examples WHERE substr(id, 1, length(?)) = ? ORDER BY example",
            (beginning, beginning),
        )
        found = [str(row[0]) for row in rows]
        return [beginning] if beginning in found else found

    def of(self, example_id: str) -> list[Story]:
        """Return the stories of an example's items, by repetition."""
        rows = self._db.execute(
            "SELECT item, repetition, state, attempt, run_id, error, reason FROM items"
            " JOIN examples USING (example) WHERE id = ? ORDER BY repetition",
            (example_id,),
        ).fetchall()
        return [
            Story(
                example_id, repetition, ItemState(state), attempt, run_id, error, reason, self._events(item)
            )
            for item, repetition, state, attempt, run_id, error, reason in rows
        ]

    def unfinished(self) -> Iterator[tuple[str, ItemState, str | None]]:
        """Yield example, state and reason of every item whose run was not read back."""
        rows = self._db.execute(
            "SELECT id, state, reason FROM items JOIN examples USING (example) WHERE state != ?",
            (int(ItemState.VISIBLE),),
        )
        for example, state, reason in rows:
            yield str(example), ItemState(state), reason

    def _events(self, item: int) -> list[Event]:
        rows: Sequence[tuple[Any, ...]] = self._db.execute(
            "SELECT at, events.worker, slot, token, what FROM events LEFT JOIN workers USING (worker)"
            " WHERE item = ? ORDER BY events.rowid",
            (item,),
        ).fetchall()
        return [Event(*row) for row in rows]


@contextlib.contextmanager
def stories(path: Path) -> Iterator[Stories]:
    """Open the stories of a ledger.

    Raises:
        RunFolderError: it cannot be read, or is of a newer evalrunner.
    """
    try:
        with contextlib.closing(_only_read(path)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise RunFolderError(
                    f"the ledger {path} was written by a newer evalrunner (format {version})"
                )
            yield Stories(db)
    except sqlite3.Error as error:
        raise RunFolderError(f"the ledger {path} cannot be read: {error}") from None


def _only_read(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
