"""How far experiments are, remembered: a dataset's page counts only those anew that have changed.

To count an experiment of 10,000 examples takes tens of milliseconds, and a dataset has many of them.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from evalbackend.store.journal import Changes
from evalbackend.store.scope import Scope, read_scope
from evalbackend.store.standing import Standing, standing

KEPT = 1_000  # experiments


@dataclass(frozen=True, slots=True)
class _Counted:
    commits: int
    dataset: str | None
    standing: Standing


class Standings:
    """The counts that were asked for last; several threads may ask at once."""

    def __init__(
        self,
        changes: Callable[[int], Changes | None],
        count: Callable[[sqlite3.Connection, Scope], Standing] = standing,
    ) -> None:
        self._changes = changes
        self._count = count
        self._lock = threading.Lock()
        self._counted: OrderedDict[str, _Counted] = OrderedDict()

    def of(self, connection: sqlite3.Connection, session: str, commits: int) -> Standing:
        """Return how far an experiment is; 404 if unknown.

        `commits` is what the store's were before the connection's snapshot began: a count may be newer than
        its number, which costs another count, and never older.
        """
        with self._lock:
            known = self._counted.get(session)
        if known is None or not self._holds(known, session, commits):
            scope = read_scope(connection, session)
            known = _Counted(commits, scope.dataset_id, self._count(connection, scope))
            self._keep(session, known)
        return known.standing

    def _holds(self, known: _Counted, session: str, commits: int) -> bool:
        if known.commits == commits:
            return True
        changes = self._changes(known.commits)
        if (
            changes is None
            or session in changes.sessions | changes.filled
            or known.dataset in changes.datasets
        ):
            return False
        if known.commits < commits:
            self._keep(session, _Counted(commits, known.dataset, known.standing))
        return True

    def _keep(self, session: str, counted: _Counted) -> None:
        with self._lock:
            self._counted[session] = counted
            self._counted.move_to_end(session)
            while len(self._counted) > KEPT:
                self._counted.popitem(last=False)
