"""The index of an upload: what the files hold, by where it lies, and what has become of it. Bounded memory.

It is made in one pass, and made again if it is lost: nothing in it is known to it alone. What it says of the
sending (`state`) may be older than the truth by what was under way when the process died; that is asked for
at the destination before it is sent again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from importlib.resources import files
from pathlib import Path

import msgspec

from evalrunner.errors import RunBroken, RunFolderError
from evalrunner.shortage import shortage

#: Rows that are written at once.
_BATCH = 2000


_SCAN = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA locking_mode = EXCLUSIVE",
         "PRAGMA cache_size = -32768", "PRAGMA temp_store = FILE")  # fmt: skip
#: A power cut may take the last words, which are asked for again; it cannot break the file.
_KEPT = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL")


class State(IntEnum):
    """How far a trace is. A broken one stays PENDING: it has a fault. Of a PARTLY one some runs are there."""

    PENDING = 0
    ACCEPTED = 1
    SEEN = 2
    REFUSED = 3
    PARTLY = 4


class Row(msgspec.Struct, frozen=True, gc=False):
    """One run of the input, or what stands where one should be.

    Attributes:
        n: counted from 1 over all files.
        file, line, offset, length: where it lies.
        id, trace, parent: as the file calls them.
        start, finish: microseconds.
        scores: whether it has feedback.
        fault: why it cannot be uploaded.
        example: whether it names an example of a dataset.
    """

    n: int
    file: int
    line: int | None
    offset: int
    length: int
    id: str | None = None
    trace: str | None = None
    parent: str | None = None
    start: int | None = None
    finish: int | None = None
    scores: bool = False
    fault: str | None = None
    example: bool = False


class Tree(msgspec.Struct, frozen=True, gc=False):
    """One trace of the input.

    Attributes:
        key: what the file calls it.
        fault: why it cannot be uploaded, and `culprit`, the row that is to blame.
        reason: why the destination did not take it.
    """

    n: int
    key: str
    runs: int
    size: int
    start: int
    fault: str | None
    culprit: int | None
    state: State
    reason: str | None


_COLUMNS = (
    "n",
    "file",
    "line",
    "offset",
    "length",
    "id",
    "trace",
    "parent",
    "start",
    "finish",
    "scores",
    "fault",
    "example",
)
_ROW = ", ".join(f"runs.{name}" for name in _COLUMNS)
_INSERT = f"INSERT INTO runs ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_ROWS = f"SELECT tree, {_ROW} FROM placed CROSS JOIN runs USING (n)"  # noqa: S608 - constants, as all here
_TREE = "n, key, runs, size, start, fault, culprit, state, reason"


class Index:
    """An open index; one thread uses it.

    Args:
        fresh: it is being made, and thrown away if that is cut off: nothing of it need last yet.

    Raises:
        RunFolderError: the file cannot be opened or written.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        self.path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            self.db = sqlite3.connect(path)
            for pragma in _SCAN if fresh else _KEPT:
                self.db.execute(pragma)
            self.db.executescript(files(__package__).joinpath("index.sql").read_text())
        except (sqlite3.Error, OSError) as error:
            found = shortage(error, path)
            raise RunFolderError(
                f"the index {path} cannot be opened: {found.cause}; {found.remedy}"
            ) from error

    def fill(self, rows: Iterable[Row | tuple[object, ...]]) -> None:
        """Write the rows of all inputs; each as it is, or as its values.

        Raises:
            RunFolderError: the disk is full.
        """
        batch: list[tuple[object, ...]] = []
        try:
            for row in rows:
                batch.append(msgspec.structs.astuple(row) if isinstance(row, Row) else row)
                if len(batch) == _BATCH:
                    self._insert(batch)
                    batch = []
            self._insert(batch)
            self.db.commit()
        except (sqlite3.Error, OSError) as error:
            found = shortage(error, self.path)
            raise RunFolderError(
                f"the index {self.path} cannot be written: {found.cause}; {found.remedy}"
            ) from error

    def _insert(self, batch: list[tuple[object, ...]]) -> None:
        self.db.executemany(_INSERT, batch)

    def rows(self, tree: int) -> list[Row]:
        """Return the runs of a trace, parents before children."""
        return self.rows_of([tree]).get(tree, [])

    def rows_of(self, trees: Sequence[int]) -> dict[int, list[Row]]:
        """Return the runs of some traces in ascending order, parents before children."""
        found: dict[int, list[Row]] = {tree: [] for tree in trees}
        # One question for neighbours; those that lie far apart are asked for one by one.
        apart = trees[-1] - trees[0] >= 2 * len(trees)
        for first, last in [(tree, tree) for tree in trees] if apart else [(trees[0], trees[-1])]:
            query = f"{_ROWS} WHERE tree BETWEEN ? AND ? ORDER BY tree, depth, placed.start, placed.n"
            for tree, *values in self.db.execute(query, (first, last)):
                if tree in found:
                    found[tree].append(Row(*values))
        return found

    def row(self, n: int) -> Row:
        """Return one row."""
        query = f"SELECT {_ROW} FROM runs WHERE n = ?"  # noqa: S608
        return Row(*self.db.execute(query, (n,)).fetchone())

    def trees(self, condition: str, *values: object) -> Iterator[Tree]:
        """Return traces in the order of the input; the index may be changed meanwhile."""
        last, page = 0, self._page(condition, values, 0)
        while page:
            for tree in page:
                last = tree.n
                yield tree
            page = self._page(condition, values, last)

    def _page(self, condition: str, values: tuple[object, ...], after: int) -> list[Tree]:
        found = self.db.execute(
            f"SELECT {_TREE} FROM trees WHERE n > ? AND ({condition}) ORDER BY n LIMIT 500",  # noqa: S608
            (after, *values),
        )
        return [Tree(*values[:7], State(values[7]), values[8]) for values in found.fetchall()]  # type: ignore[call-arg]

    def count(self, condition: str, *values: object) -> tuple[int, int, int]:
        """Return how many traces, runs and bytes there are of this kind."""
        found: tuple[int, int, int] = self.db.execute(
            f"SELECT count(*), coalesce(sum(runs), 0), coalesce(sum(size), 0) FROM trees WHERE {condition}",  # noqa: S608
            values,
        ).fetchone()
        return found

    def book(self, settled: Iterable[tuple[int, State, str | None]]) -> None:
        """Note what has become of traces."""
        with self.db:
            self.db.executemany(
                "UPDATE trees SET state = ?2, reason = ?3 WHERE n = ?1",
                [(tree, int(state), reason) for tree, state, reason in settled],
            )

    def close(self) -> None:
        """Close the file."""
        self.db.close()


@contextlib.contextmanager
def writing(path: Path, *, begun: bool) -> Iterator[None]:
    """Say in one sentence why an index cannot be written.

    Args:
        begun: something may have been sent.

    Raises:
        RunFolderError: nothing was done.
        RunBroken: what was done is safe.
    """
    try:
        yield
    except sqlite3.Error as error:
        found = shortage(error, path)
        said = f"the index {path} cannot be written: {found.cause}; {found.remedy}"
        raise RunBroken(f"{said}, and the same command goes on") if begun else RunFolderError(said) from error


#: Traces that can be uploaded, those that cannot; and of the former those that are still to be sent.
SOUND, BROKEN = "fault IS NULL", "fault IS NOT NULL"
UNSENT = f"{SOUND} AND state IN ({int(State.PENDING)}, {int(State.PARTLY)})"
