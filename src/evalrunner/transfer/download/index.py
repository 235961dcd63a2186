"""What there is to download, in a scratch file: ids, places and times of the runs, and the feedback.

Memory stays the same whatever the size of the project. The file is gone when the download ends; after a kill it
lies in the system's folder for temporary files, where nobody but its owner may read it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evalrunner.transfer.download.form import feedback_bytes, moment
from evalrunner.transfer.remote.reads import Feedback, Row

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16000;
CREATE TABLE runs (id TEXT PRIMARY KEY, trace TEXT, parent TEXT, start TEXT, place TEXT, ended TEXT)
    WITHOUT ROWID;
CREATE TABLE feedback (id TEXT PRIMARY KEY, run TEXT, created TEXT, body BLOB) WITHOUT ROWID;
CREATE TABLE later (id TEXT PRIMARY KEY, ended TEXT) WITHOUT ROWID;
"""
_INDEXES = """
CREATE INDEX IF NOT EXISTS by_trace ON runs (trace);
CREATE INDEX IF NOT EXISTS by_run ON feedback (run, created, id);
"""


class Index:
    """The scratch file, open; `close` removes it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="evalrunner-download-")  # 0700
        path = Path(self._folder.name) / "index.sqlite"
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Remove it."""
        self._db.close()
        self._folder.cleanup()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        yield
        self._db.execute("COMMIT")  # after an error there is nothing to go back to: the file goes

    def add(self, rows: Iterable[Row]) -> None:
        """Take a page of runs; one that is there already (a page that has moved) counts once."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (row.id, row.trace_id, row.parent, moment(row.start_time), row.dotted_order, row.end)
                    for row in rows
                ),
            )

    def add_feedback(self, rows: Iterable[Feedback]) -> None:
        """Take a page of feedback."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO feedback VALUES (?, ?, ?, ?)",
                ((row.id, row.run_id, moment(row.created_at), feedback_bytes(row)) for row in rows),
            )

    def counts(self) -> tuple[int, int]:
        """Return how many runs there are, and how many traces."""
        found: tuple[int, int] = self._db.execute(
            "SELECT COUNT(*), COUNT(DISTINCT trace) FROM runs"
        ).fetchone()
        return found

    def ordered(self) -> Iterator[str]:
        """Return the ids as they are written: traces by their first start, oldest first; parents before children."""
        self._db.executescript(_INDEXES)
        traces = "SELECT trace FROM runs GROUP BY trace ORDER BY MIN(start), trace"
        for (trace,) in self._db.execute(traces):
            members = "SELECT id, parent FROM runs WHERE trace = ? ORDER BY start, place, id"
            yield from in_order(self._db.execute(members, (trace,)).fetchall())

    def feedback(self, run: str) -> list[bytes]:
        """Return a run's feedback, oldest first."""
        found = self._db.execute("SELECT body FROM feedback WHERE run = ? ORDER BY created, id", (run,))
        return [body for (body,) in found]

    def written(self, row: Row) -> None:
        """Note as what a run was written, which may be more than the index had of it."""
        self._db.execute("UPDATE runs SET ended = ? WHERE id = ? AND ended <> ?", (row.end, row.id, row.end))

    def add_later(self, rows: Iterable[Row]) -> None:
        """Take a page of what the service has at the end."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO later VALUES (?, ?)", ((row.id, row.end) for row in rows)
            )

    def drift(self) -> tuple[int, int]:
        """Return how many runs have appeared, and how many have changed, since they were written."""
        appeared = "SELECT COUNT(*) FROM later WHERE id NOT IN (SELECT id FROM runs)"
        changed = "SELECT COUNT(*) FROM later JOIN runs USING (id) WHERE later.ended <> runs.ended"
        return self._db.execute(appeared).fetchone()[0], self._db.execute(changed).fetchone()[0]

    def there_later(self, run: str) -> bool:
        """Tell whether the service still has a run at the end."""
        return self._db.execute("SELECT 1 FROM later WHERE id = ?", (run,)).fetchone() is not None


def in_order(members: Sequence[tuple[str, str | None]]) -> Iterator[str]:
    """Return a trace's runs, parents before children, brothers as they are given.

    Args:
        members: id and parent's id. A parent that is not among them makes a root; what is its own ancestor
            comes last.
    """
    known = {run for run, _ in members}
    children: dict[str | None, list[str]] = {}
    for run, parent in members:
        children.setdefault(parent if parent in known else None, []).append(run)
    given: set[str] = set()
    waiting = children.get(None, [])[::-1]
    while waiting:
        run = waiting.pop()
        given.add(run)
        yield run
        waiting += children.get(run, [])[::-1]
    yield from (run for run, _ in members if run not in given)
