"""What the latest commits touched, so that what was made of a store need not be made again from all of it.

Temporary triggers of the writing connection tell, which nobody can forget to call: every root run, every
score, every session and every dataset whose rows a transaction changes. Child runs are not told. Of a root run
its session is told too, before and after: runs can move.

They tell a temporary table, and call nothing: a function may fail, so that SQLite would copy each page that a row
is about to change into a journal of that one statement first (half of what taking a run in cost).
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from dataclasses import dataclass

_MOST = 50_000  # names kept; who asks for what is older must look at everything

_TOLD = {  # table: the kind, the id, the session that is told too, and which rows
    "runs": ("'run'", "{0}.id", "{0}.session_id", "{0}.parent_run_id IS NULL"),
    "feedback": (
        "CASE WHEN {0}.run_id IS NULL THEN 'session' ELSE 'run' END",
        "COALESCE({0}.run_id, {0}.session_id)",
        "NULL",
        "COALESCE({0}.run_id, {0}.session_id) IS NOT NULL",
    ),
    "sessions": ("'session'", "{0}.id", "NULL", "1"),
    "example_versions": ("'dataset'", "{0}.dataset_id", "NULL", "1"),
}
_EVENTS = (("INSERT", "NEW"), ("DELETE", "OLD"), ("UPDATE", "OLD"), ("UPDATE", "NEW"))


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids of what was touched; a run's scores count as the run. `filled` are sessions of root runs that were."""

    runs: frozenset[str]
    sessions: frozenset[str]
    datasets: frozenset[str]
    filled: frozenset[str]


class Journal:
    """Written by the one thread that writes the store, read by all."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._kept: deque[tuple[int, frozenset[tuple[str, str]]]] = deque()
        self._names = 0
        self._forgotten = 0
        connection.execute("CREATE TEMP TABLE journal_touched (kind TEXT, name TEXT, session TEXT)")
        # INSERT OR REPLACE tells of the row that it replaces only with this.
        connection.execute("PRAGMA recursive_triggers = ON")
        for table, (kind, name, session, which) in _TOLD.items():
            for event, row in _EVENTS:
                body = f"INSERT INTO journal_touched VALUES ({kind}, {name}, {session});".format(row)  # noqa: S608
                connection.execute(
                    f"CREATE TEMP TRIGGER {table}_{event}_{row} AFTER {event} ON main.{table} "
                    f"WHEN {which.format(row)} BEGIN {body} END"
                )

    def taken(self) -> frozenset[tuple[str, str]]:
        """Return what the open transaction has touched, and forget it: for `committed`, once it is."""
        rows = self._connection.execute("SELECT kind, name, session FROM journal_touched").fetchall()
        self._connection.execute("DELETE FROM journal_touched")
        names = {(kind, name) for kind, name, _ in rows}
        return frozenset(names | {("filled", session) for _, _, session in rows if session is not None})

    def committed(self, commit: int, names: frozenset[tuple[str, str]]) -> None:
        """What was `taken` is committed now, by this commit."""
        with self._lock:
            self._kept.append((commit, names))
            self._names += len(names) + 1
            while self._names > _MOST:
                self._forgotten, gone = self._kept.popleft()
                self._names -= len(gone) + 1

    def since(self, commit: int) -> Changes | None:
        """Return what later commits touched; None if that is not known any more."""
        with self._lock:
            if commit < self._forgotten:
                return None
            found = {name for number, names in self._kept if number > commit for name in names}
        kinds = (
            frozenset(name for kind, name in found if kind == wanted)
            for wanted in ("run", "session", "dataset", "filled")
        )
        return Changes(*kinds)
