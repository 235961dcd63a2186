"""What the latest commits touched, so that what was made of a store need not be made again from all of it.

Temporary triggers of the writing connection tell, which nobody can forget to call: every root run, every
score, every session and every dataset whose rows a transaction changes. Child runs are not told. Of a root run
its session is told too, before and after: runs can move.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from dataclasses import dataclass

_MOST = 50_000  # names kept; who asks for what is older must look at everything

_TOLD = {  # table: the kind, the id, and which rows
    "runs": ("'run'", "{0}.id, {0}.session_id", "{0}.parent_run_id IS NULL"),
    "feedback": (
        "CASE WHEN {0}.run_id IS NULL THEN 'session' ELSE 'run' END",
        "COALESCE({0}.run_id, {0}.session_id)",
        "COALESCE({0}.run_id, {0}.session_id) IS NOT NULL",
    ),
    "sessions": ("'session'", "{0}.id", "1"),
    "example_versions": ("'dataset'", "{0}.dataset_id", "1"),
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
        self._open: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._kept: deque[tuple[int, frozenset[tuple[str, str]]]] = deque()
        self._names = 0
        self._forgotten = 0
        connection.create_function("touched", -1, self._touched)
        # INSERT OR REPLACE tells of the row that it replaces only with this.
        connection.execute("PRAGMA recursive_triggers = ON")
        for table, (kind, name, which) in _TOLD.items():
            for event, row in _EVENTS:
                connection.execute(
                    f"CREATE TEMP TRIGGER {table}_{event}_{row} AFTER {event} ON main.{table} "
                    f"WHEN {which.format(row)} BEGIN SELECT touched({kind.format(row)}, {name.format(row)}); END"
                )

    def committed(self, commit: int) -> None:
        """What was touched since the last call is committed now, by this commit."""
        names, self._open = frozenset(self._open), set()
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

    def _touched(self, kind: str, name: str, session: str | None = None) -> None:
        # What is undone stays noted: that costs a look, and misses nothing.
        self._open.add((kind, name))
        if session is not None:
            self._open.add(("filled", session))
