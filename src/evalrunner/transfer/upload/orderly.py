"""Traces that are sound and stand together in the input, parents before children, told in one pass.

Most files are like that. Of any other nothing is told, and forest.py finds out what it is; of one like that it would
say the same (tests/unit/test_recorded_orderly.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import groupby, islice
from operator import itemgetter

_ROWS = "SELECT n, id, trace, parent, start, finish, length, fault FROM runs ORDER BY n"
_TWINS = "SELECT 1 FROM runs WHERE id IS NOT NULL GROUP BY id HAVING count(*) > 1 LIMIT 1"
_TREE = "INSERT OR IGNORE INTO trees (n, key, runs, size, start, newest) VALUES (?, ?, ?, ?, ?, ?)"
_PLACED = "INSERT INTO placed VALUES (?, ?, ?, ?)"
_BATCH = 2000
_Run = tuple[int, "str | None", "str | None", "str | None", int, "int | None", int, "str | None"]


def place_orderly(db: sqlite3.Connection, size_limit: int, most: int) -> bool:
    """Tell every run its trace, if all of them are like that; otherwise leave the index as it was.

    Args:
        size_limit: bytes that the service takes in one request.
        most: runs that it takes of a trace.
    """
    if db.execute(_TWINS).fetchone():
        return False
    count, told = 0, _Told(db)
    for count, (key, runs) in enumerate(groupby(db.execute(_ROWS), itemgetter(2)), start=1):
        if key is None or not told.take(count, key, list(islice(runs, most + 1)), size_limit, most):
            return _undone(db)
    told.write()
    # A trace that goes on further down is one that has been told already.
    trees: int = db.execute("SELECT count(*) FROM trees").fetchone()[0]
    return trees == count or _undone(db)


def _undone(db: sqlite3.Connection) -> bool:
    db.execute("DELETE FROM placed")
    db.execute("DELETE FROM trees")
    return False


class _Told:
    """What is told of traces, on its way into the index."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._trees: list[tuple[int, str, int, int, int, int]] = []
        self._placed: list[tuple[int, int, int, int]] = []

    def take(self, tree: int, key: str, runs: list[_Run], size_limit: int, most: int) -> bool:
        """Take a trace, or return False."""
        depths = _depths(runs)
        if depths is None or len(runs) > most or max(run[6] for run in runs) > size_limit:
            return False
        newest = max([run[4] if run[5] is None else run[5] for run in runs])
        size, start = sum([run[6] for run in runs]), min([run[4] for run in runs])
        self._trees.append((tree, key, len(runs), size, start, newest))
        self._placed += [(tree, depth, run[4], run[0]) for run, depth in zip(runs, depths, strict=True)]
        if len(self._placed) >= _BATCH:
            self.write()
        return True

    def write(self) -> None:
        """Write what was taken."""
        self._db.executemany(_TREE, self._trees)
        self._db.executemany(_PLACED, self._placed)
        self._trees, self._placed = [], []


def _depths(runs: Iterable[_Run]) -> list[int] | None:
    """Return how deep each run is; None if one is broken, is a second root, or stands before its parent."""
    depths: dict[str, int] = {}
    for _, one, _, parent, _, _, _, fault in runs:
        if fault is not None or one is None:
            return None
        if parent is not None:
            above = depths.get(parent)
            if above is None:
                return None
            depths[one] = above + 1
        elif depths:
            return None
        else:
            depths[one] = 0
    return list(depths.values())
