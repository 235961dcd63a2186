"""Digests of experiments: what thirty thousand runs come to, in memory, so that pages are paged in SQL.

Reading every root run and score of an experiment costs tenths of a second, mostly for their wide rows. It is
done once; what runs change afterwards is brought in by itself, and filters, orders and pages ask small
tables. The connection to the store is opened for that only, in one snapshot, and can only read.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, TypeVar

from evalbackend.store.journal import Changes
from evalbackend.store.scope import Scope, read_scope
from evalbackend.web import fill

T = TypeVar("T")

KEPT = 6  # experiments
PATIENCE = 2.0  # while a run goes on, a digest is used for so many times as much as it took to make


@dataclass(slots=True)
class _Made:
    scope: Scope
    commits: int
    at: float
    took: float  # seconds of CPU
    grows: bool  # whether it can be brought forward


class Digests:
    """The digests that were made last, in one in-memory database. Use it inside `at` only."""

    def __init__(
        self, address: Callable[[], str], changes: Callable[[int], Changes | None], patience: float = PATIENCE
    ) -> None:
        self._address = address
        self._patience = patience
        self._changes = changes
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
            made = self._made[session] = self._forward(session, made) or self._make(session)
        self._made.move_to_end(session)
        while len(self._made) > KEPT:
            fill.drop(self.connection, self._made.popitem(last=False)[0])
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
        return made.commits == self._commits or time.monotonic() - made.at < self._patience * made.took

    def _forward(self, session: str, made: _Made | None) -> _Made | None:
        changes = self._changes(made.commits) if made is not None and made.grows else None
        if made is None or changes is None or changes.datasets:
            return None
        begun, scope = time.thread_time(), made.scope
        with self._attached() if changes.runs or session in changes.sessions else nullcontext():
            if session in changes.sessions:
                # Whoever runs it writes into its metadata again and again that he lives: that makes no other plan.
                scope = read_scope(self.connection, session)
                if replace(scope, metadata=made.scope.metadata) != made.scope:
                    return None
                fill.sum_up(self.connection, scope)
                self._changed()
            mine = fill.forward(self.connection, scope, changes.runs) if changes.runs else False
        if mine is None:
            return None
        if mine:
            self._changed()
        return self._timed(scope, begun, grows=True)

    def _make(self, session: str) -> _Made:
        begun = time.thread_time()
        self._changed()
        self._made.pop(session, None)
        with self._attached():
            scope = read_scope(self.connection, session)
            fill.drop(self.connection, session)
            scope, grows = fill.fill(self.connection, scope)
        return self._timed(scope, begun, grows=grows)

    def _changed(self) -> None:
        self._kept.clear()
        self.connection.execute("DELETE FROM pairs")

    def _timed(self, scope: Scope, begun: float, *, grows: bool) -> _Made:
        # Its own work, not the clock on the wall: on a busy machine pages would be old for as long as that is busy.
        return _Made(scope, self._commits, time.monotonic(), time.thread_time() - begun, grows)

    @contextmanager
    def _attached(self) -> Iterator[None]:
        self.connection.execute("ATTACH ? AS store", (self._address(),))
        try:
            self.connection.execute("BEGIN")
            try:
                yield
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")
        finally:
            self.connection.execute("DETACH store")
