"""Digests of experiments: what thirty thousand runs come to, in memory, so that pages are paged in SQL.

Reading every root run and score of an experiment costs tenths of a second, mostly for their wide rows. It is
done once per state of the store; filters, orders and pages then ask small tables. The connection to the
store is opened for the building only, in one snapshot, and can only read.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import orjson

from evalrunner.backend.web.scope import Scope, read_scope

T = TypeVar("T")

KEPT = 6  # experiments
_TABLES = ("plan", "roots", "scores", "items", "item_scores", "summaries")
_PATIENCE = 2.0  # while a run goes on, a digest is used for so many times as long as it took to make

LATENCY = (
    "(strftime('%s', substr({end}, 1, 19)) - strftime('%s', substr({start}, 1, 19)) "
    "+ CAST(substr({end}, 20, 7) AS REAL) - CAST(substr({start}, 20, 7) AS REAL))"
)

_PLAN = """
INSERT INTO plan (session, pos, example_id, version, gone)
SELECT :session, row_number() OVER (ORDER BY created_at, example_id), example_id, version, NOT EXISTS (
    SELECT 1 FROM store.example_versions n WHERE n.example_id = v.example_id AND n.valid_to IS NULL)
FROM store.example_versions v WHERE dataset_id = :dataset AND {held} {splits}
ORDER BY created_at, example_id LIMIT :limit"""
_HELD = "valid_from <= :version AND (valid_to IS NULL OR valid_to > :version)"
_SPLITS = """AND EXISTS (SELECT 1 FROM json_each(v.metadata, '$.dataset_split')
WHERE value IN (SELECT value FROM json_each(:splits)))"""

# A run counts if it ended and its example has room for it: those without error first, then in order of time.
_ROOTS = f"""
INSERT INTO roots (session, id, example_id, pos, start_time, end_time, latency, failed, kind)
SELECT :session, id, example_id, pos, start_time, end_time, {LATENCY.format(end="end_time", start="start_time")},
    failed, CASE WHEN pos IS NULL THEN 'unlinked' WHEN end_time IS NULL THEN 'pending'
        WHEN row_number() OVER (PARTITION BY pos, end_time IS NULL ORDER BY failed, start_time, id) <= :repetitions
        THEN 'counted' ELSE 'duplicate' END
FROM (SELECT r.id, r.reference_example_id AS example_id, p.pos, r.start_time, r.end_time,
        r.status = 'error' AS failed
    FROM store.runs r INDEXED BY roots_by_session
    LEFT JOIN plan p ON p.session = :session AND p.example_id = r.reference_example_id
    WHERE r.session_id = :session AND r.post_n > 0 AND r.parent_run_id IS NULL)"""  # noqa: S608
_UPDATES = """
INSERT OR IGNORE INTO roots (session, id, example_id, end_time, failed, kind, why)
SELECT :session, id, reference_example_id, end_time, 0, 'update', 'its update arrived, its create did not'
FROM store.runs WHERE session_id = :session AND start_time IS NULL AND post_n = 0 AND parent_run_id IS NULL"""
_STRANGE = """
UPDATE roots SET (kind, why) = (SELECT
    CASE WHEN MAX(v.dataset_id = :dataset) THEN 'hidden' ELSE 'unlinked' END,
    CASE WHEN roots.example_id IS NULL THEN 'the run names no example'
        WHEN COUNT(v.version) = 0 THEN 'its example is not in this store'
        WHEN NOT MAX(v.dataset_id = :dataset) THEN 'its example belongs to another dataset'
        WHEN MIN(v.created_at) > :version THEN 'its example was added after the experiment''s dataset version'
        WHEN MAX({held}) THEN 'its example is outside of the splits or the limit of the plan'
        ELSE 'its example was deleted before the experiment''s dataset version' END
    FROM store.example_versions v WHERE v.example_id = roots.example_id)
WHERE session = :session AND kind = 'unlinked'"""
_SCORES = """
INSERT INTO scores SELECT :session, r.id, f.key, AVG(f.score), MAX(f.value)
FROM roots r CROSS JOIN store.feedback f ON f.run_id = r.id
WHERE r.session = :session GROUP BY r.id, f.key"""
_SUMMARIES = """
INSERT INTO summaries SELECT :session, key, score, value FROM store.feedback
WHERE session_id = :session AND run_id IS NULL ORDER BY created_at, id"""
_ITEMS = """
INSERT INTO items SELECT :session, p.pos, COALESCE(SUM(kind = 'counted'), 0), COALESCE(SUM(kind = 'pending'), 0),
    MAX(:repetitions - COALESCE(SUM(kind IN ('counted', 'pending')), 0), 0),
    COALESCE(SUM(kind = 'counted' AND failed), 0), COALESCE(SUM(kind = 'duplicate'), 0),
    AVG(CASE WHEN kind = 'counted' THEN latency END), MAX(CASE WHEN kind = 'counted' THEN latency END)
FROM plan p LEFT JOIN roots r INDEXED BY roots_by_pos ON r.session = :session AND r.pos = p.pos
WHERE p.session = :session GROUP BY p.pos"""
_ITEM_SCORES = """
INSERT INTO item_scores SELECT :session, s.key, r.pos, AVG(s.score)
FROM roots r CROSS JOIN scores s ON s.session = :session AND s.run_id = r.id
WHERE r.session = :session AND r.kind = 'counted' GROUP BY s.key, r.pos"""

# An experiment over some examples that says how many, but not which: those that have runs are in its plan.
_NARROW = """
DELETE FROM plan WHERE session = :session AND (SELECT COUNT(*) FROM plan WHERE session = :session) > :told
AND NOT EXISTS (SELECT 1 FROM roots r WHERE r.session = :session AND r.pos = plan.pos)"""


@dataclass(slots=True)
class _Made:
    scope: Scope
    commits: int
    at: float
    took: float


class Digests:
    """The digests that were made last, in one in-memory database. Use it inside `at` only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._commits = 0
        self._made: OrderedDict[str, _Made] = OrderedDict()
        self._opened: sqlite3.Connection | None = None
        self._kept: dict[Any, Any] = {}

    @contextmanager
    def at(self, commits: int) -> Iterator[None]:
        """Keep others out; digests are to be as new as the store was after so many commits."""
        with self._lock:
            self._commits = commits
            yield

    def scope(self, session: str) -> Scope:
        """Digest an experiment, unless its digest is still good, and return its scope; 404 if unknown."""
        made = self._made.get(session)
        if made is None or not self._good(made):
            made = self._made[session] = self._make(session)
        self._made.move_to_end(session)
        while len(self._made) > KEPT:
            self._drop(self._made.popitem(last=False)[0])
        return made.scope

    def rows(self, sql: str, *args: Any, **named: Any) -> list[Any]:
        """Ask the digests."""
        return self.connection.execute(sql, named or args).fetchall()

    def once(self, name: tuple[Any, ...], work: Callable[[], T]) -> T:
        """Return what `work` returns, from memory as long as no digest has changed."""
        if name not in self._kept:
            self._kept[name] = work()
        found: T = self._kept[name]
        return found

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._made.clear()
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The database, opened when the first page needs it."""
        if self._opened is None:
            script = resources.files(__package__).joinpath("digest.sql").read_text(encoding="utf-8")
            self._opened = sqlite3.connect(
                ":memory:", isolation_level=None, check_same_thread=False, uri=True
            )
            self._opened.executescript(script)
        return self._opened

    def _good(self, made: _Made) -> bool:
        return made.commits == self._commits or time.monotonic() - made.at < _PATIENCE * made.took

    def _drop(self, session: str) -> None:
        for table in _TABLES:
            self.connection.execute(f"DELETE FROM {table} WHERE session = ?", (session,))  # noqa: S608

    def _make(self, session: str) -> _Made:
        begun = time.monotonic()
        self._kept.clear()
        self._made.pop(session, None)
        self.connection.execute("ATTACH ? AS store", (f"{self._path.absolute().as_uri()}?mode=ro",))
        try:
            self.connection.execute("BEGIN")
            try:
                scope = read_scope(self.connection, session)
                self._drop(session)
                self._fill(scope)
            finally:
                self.connection.execute("COMMIT")
        finally:
            self.connection.execute("DETACH store")
        done = time.monotonic()
        return _Made(scope, self._commits, done, done - begun)

    def _fill(self, scope: Scope) -> None:
        named = {
            "session": scope.id,
            "dataset": scope.dataset_id,
            "version": scope.version or "9999",
            "splits": orjson.dumps(scope.splits).decode(),
            "limit": scope.limit or -1,
            "repetitions": scope.repetitions,
        }
        held = _HELD if scope.version else "valid_to IS NULL"
        plan = _PLAN.format(held=held, splits=_SPLITS if scope.splits else "")
        steps = (plan, _ROOTS, _UPDATES, _STRANGE.format(held=_HELD), _SCORES)
        for step in steps:
            self.connection.execute(step, named)
        if scope.told is not None and scope.limit is None:
            self.connection.execute(_NARROW, {**named, "told": scope.told})
        for step in (_ITEMS, _ITEM_SCORES, _SUMMARIES):
            self.connection.execute(step, named)
