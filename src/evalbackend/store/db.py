"""The store file: how it is opened, its one write thread, its readers."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evalbackend.errors import HttpError, StoreError
from evalbackend.store.base import OpenStore
from evalbackend.store.functions import register
from evalbackend.store.journal import Changes, Journal
from evalbackend.store.migrate import migrate

T = TypeVar("T")

_GROUP = 256  # requests per transaction, at most


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    done: Future[Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """What is said before a job, after it, and to undo it."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    undo: tuple[str, ...]


_AMONG = _Place(("SAVEPOINT job",), ("RELEASE job",), ("ROLLBACK TO job", "RELEASE job"))
# With a savepoint SQLite copies each page before it changes; who is alone in a transaction needs none.
_ALONE = _Place((), (), ("ROLLBACK", "BEGIN IMMEDIATE"))


class Store(OpenStore):
    """A store file that is ours to write.

    `write` answers after its commit has been synced to disk: what a client was told is kept across
    SIGKILL and power loss. Writes that wait at the same time share one commit. `read` sees every
    commit that was answered before it was called.
    """

    def __init__(self, path: Path) -> None:
        _create_private(path)
        self._lock = _lock(path)
        try:
            self._writer = _open(path)
            meta = dict(self._writer.execute("SELECT key, value FROM meta").fetchall())
        except BaseException:
            os.close(self._lock)
            raise
        super().__init__(path, meta)
        self._closed = False
        self._commits = 0
        self._journal = Journal(self._writer)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def commits(self) -> int:
        """How often this store has committed."""
        return self._commits

    @property
    def address(self) -> str:
        """The URI by which a further connection can read the file."""
        return f"{self.path.absolute().as_uri()}?mode=ro"

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the write thread; see OpenStore."""
        job = _Job(work, Future())
        self._jobs.put(job)
        result: T = await asyncio.wrap_future(job.done)
        return result

    def changes(self, commits: int) -> Changes | None:
        """Return what was touched after so many commits; None if that is not known."""
        return self._journal.since(commits)

    def close(self) -> None:
        """Commit what waits, fold the log into the file, let go of the lock; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        self._close_readers()
        _fold(self._writer)
        self._writer.close()
        os.close(self._lock)

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = reading(connect(str(self.path)))
            self._readers.append(connection)
        return connection

    def _write_loop(self) -> None:
        running = True
        while running:
            job = self._jobs.get()
            group: list[_Job] = []
            while job is not None:
                group.append(job)
                if len(group) == _GROUP or self._jobs.empty():
                    break
                job = self._jobs.get()
            running = job is not None
            if group:
                self._commit(group)

    def _commit(self, group: list[_Job]) -> None:
        # If the process dies before COMMIT returns, none of the group is kept, and none was answered.
        outcomes: list[tuple[Any, Exception | None]]
        group = [job for job in group if job.done.set_running_or_notify_cancel()]
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            outcomes = [self._one(job, _ALONE if len(group) == 1 else _AMONG) for job in group]
            touched = self._journal.taken()  # not later: an error after COMMIT would refuse what is kept
            self._writer.execute("COMMIT")
            self._journal.committed(self._commits + 1, touched)
            self._commits += 1
        except Exception as error:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            refusal = HttpError(503, f"the store cannot write: {error}")
            outcomes = [(None, refusal)] * len(group)
        for job, (result, failure) in zip(group, outcomes, strict=True):
            if failure is None:
                job.done.set_result(result)
            else:
                job.done.set_exception(failure)

    def _one(self, job: _Job, place: _Place) -> tuple[Any, Exception | None]:
        self._run(place.before)
        try:
            result = job.work(self._writer)
        except Exception as error:
            if not self._writer.in_transaction:
                raise  # a full disk undoes the whole transaction, and with it the others of the group
            self._run(place.undo)
            return None, error
        self._run(place.after)
        return result, None

    def _run(self, statements: tuple[str, ...]) -> None:
        for statement in statements:
            self._writer.execute(statement)


def _create_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # The mode is set at creation: there is no moment at which another user could open the file.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise StoreError(f"{path} is not a file: name the store's file") from None
    except OSError as error:
        raise StoreError(f"the store {path} cannot be created: {error.strerror}") from error


def _lock(path: Path) -> int:
    # A file of its own: closing any descriptor of the database would drop SQLite's POSIX locks.
    handle = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise StoreError(f"the store {path} is in use by another server: stop that one first") from None
    return handle


def _open(path: Path) -> sqlite3.Connection:
    connection = connect(str(path))
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # KiB. Ids are random, so that every row goes to another page of every index: with SQLite's 2 MiB a store of
        # 40,000 runs took 14 % more CPU for each of them.
        connection.execute("PRAGMA cache_size = -16384")
        check(connection)
        migrate(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise damaged(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect(address: str) -> sqlite3.Connection:
    """Return a connection to a path or a file: URI, with the functions that our queries use."""
    connection = sqlite3.connect(
        address, isolation_level=None, check_same_thread=False, cached_statements=256,
        uri=address.startswith("file:"),
    )  # fmt: skip
    connection.execute("PRAGMA busy_timeout = 10000")
    register(connection)
    return connection


def reading(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return the connection, which can only read from now on."""
    connection.execute("PRAGMA query_only = ON")
    return connection


def check(connection: sqlite3.Connection) -> None:
    """Raise DatabaseError for a file that is damaged or no database."""
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def damaged(path: Path, error: Exception) -> StoreError:
    """Return the error that says so."""
    return StoreError(f"the store {path} is damaged ({error}): move it away or restore a copy")


def _fold(connection: sqlite3.Connection) -> None:
    # SQLite does it for the last connection only, and a server that only reads may be one more.
    connection.execute("PRAGMA busy_timeout = 1000")
    with contextlib.suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
