"""A store file that is shown and never written: beside its writer, on a read-only disk, or as an archive.

Where there is a log (`-wal`), a writer may be at work: SQLite's own locks then give every read one
snapshot, and the writer is not disturbed. Where there is none, the file is opened as immutable, which
leaves no lock and no file behind and needs no right to write anywhere. SQLite does not notice then when
a writer starts, so that it is looked after here: a read during which the file changed is done again.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from evalbackend.errors import HttpError, StoreError
from evalbackend.store.base import OpenStore
from evalbackend.store.db import check, connect, damaged, reading
from evalbackend.store.migrate import SCHEMA_VERSION, schema_of

T = TypeVar("T")

READ_ONLY = "this server is read-only (evalrunner serve --read-only): it shows its store and takes in nothing"
_TRIES = 5

_State = tuple[str, int, int, int]


class ReadOnlyStore(OpenStore):
    """An existing store of this version's schema, to be read; StoreError for any other."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StoreError(f"there is no store at {path}: without --read-only it would be made")
        super().__init__(path, _checked(path))
        self._commits = 0
        self._seen: tuple[_State, int] | None = None

    @property
    def commits(self) -> int:
        """A number that changes when somebody has committed."""
        version = int(self._reader().execute("PRAGMA data_version").fetchone()[0])
        seen = (self._state(), version)
        if seen != self._seen:
            self._seen = seen
            self._commits += 1
        return self._commits

    @property
    def address(self) -> str:
        """The URI by which a further connection can read the file as it now is."""
        return _address(self.path, self._state())

    def changes(self, commits: int) -> None:
        """What was touched is the writer's to know."""

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> NoReturn:
        """Refuse with 403."""
        raise HttpError(403, READ_ONLY)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._close_readers()

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        for _ in range(_TRIES):
            before = self._state()
            try:
                result = super()._read(work)
            except Exception:
                if self._state() == before:
                    raise
            else:
                if self._state() == before:
                    return result
        raise HttpError(503, "the store's file changes faster than it can be read: ask again")

    def _reader(self) -> sqlite3.Connection:
        state = self._state()
        known: tuple[_State, sqlite3.Connection] | None = getattr(self._local, "opened", None)
        if known is not None and known[0] == state:
            return known[1]
        if known is not None:
            self._readers.remove(known[1])
            known[1].close()
            self._local.opened = None
        try:
            connection = _open(self.path, state)
        except sqlite3.Error as error:
            raise HttpError(503, f"the store cannot be read now: {error}") from error
        self._readers.append(connection)
        self._local.opened = (state, connection)
        return connection

    def _state(self) -> _State:
        try:
            return _state(self.path)
        except OSError as error:
            raise HttpError(503, f"the store cannot be read now: {error.strerror}") from error


def _state(path: Path) -> _State:
    """Return what a connection is good for: the same files, and without a log, the same content."""
    file = path.stat()
    with contextlib.suppress(FileNotFoundError):
        log = _log(path).stat()
        if log.st_size:
            return ("log", file.st_ino, log.st_ino, 0)
    return ("file", file.st_ino, file.st_mtime_ns, file.st_size)


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _address(path: Path, state: _State) -> str:
    return f"{path.absolute().as_uri()}?mode=ro{'' if state[0] == 'log' else '&immutable=1'}"


def _open(path: Path, state: _State) -> sqlite3.Connection:
    return reading(connect(_address(path, state)))


def _checked(path: Path) -> dict[str, str]:
    """Return the store's own facts; StoreError unless it is whole, and of this version's schema."""
    try:
        with contextlib.closing(_open(path, _state(path))) as connection:
            connection.execute("BEGIN")
            check(connection)
            _check_schema(path, schema_of(connection))
            return dict(connection.execute("SELECT key, value FROM meta").fetchall())
    except sqlite3.OperationalError as error:
        hint = f": copy it with its log, {_log(path).name}, to where you can write" if _logged(path) else ""
        raise StoreError(f"the store {path} cannot be opened for reading ({error}){hint}") from error
    except OSError as error:
        raise StoreError(f"the store {path} cannot be read: {error.strerror}") from error
    except sqlite3.DatabaseError as error:
        raise damaged(path, error) from error


def _check_schema(path: Path, version: int) -> None:
    if version == 0:
        raise StoreError(f"{path} holds no store: without --read-only it would be made there")
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"the store {path} has schema {version}, this version reads {SCHEMA_VERSION}: "
            "serve it once without --read-only, which brings it forward"
        )


def _logged(path: Path) -> bool:
    return _state(path)[0] == "log"
