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
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evalrunner.backend.errors import HttpError, StoreError
from evalrunner.backend.store.functions import register
from evalrunner.backend.store.journal import Changes, Journal
from evalrunner.backend.store.migrate import migrate

T = TypeVar("T")

_GROUP = 256  # requests per transaction, at most
_READERS = 4


@dataclass(slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    done: Future[Any]


class Store:
    """One open store file.

    `write` answers after its commit has been synced to disk: what a client was told is kept across
    SIGKILL and power loss. Writes that wait at the same time share one commit. `read` sees every
    commit that was answered before it was called.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _create_private(path)
        self._lock = _lock(path)
        try:
            self._writer = _open(path)
            meta = dict(self._writer.execute("SELECT key, value FROM meta").fetchall())
        except BaseException:
            os.close(self._lock)
            raise
        self._closed = False
        self.commits = 0  # what was computed at one value holds as long as it stays
        self._journal = Journal(self._writer)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._thread.start()
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self.tenant_id: str = meta["tenant_id"]
        self.url_secret: bytes = bytes.fromhex(meta["url_secret"])

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a reading connection, off the event loop, in one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, work)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the write thread and return its result once it is committed.

        An exception of `work` undoes what it did and is raised here; others' writes are not touched.
        """
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
        self._pool.shutdown()
        for connection in self._readers:
            connection.close()
        self._writer.close()
        os.close(self._lock)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _reader(self.path)
            self._readers.append(connection)
        connection.execute("BEGIN")
        try:
            return work(connection)
        except (OverflowError, sqlite3.OperationalError) as error:
            if isinstance(error, OverflowError) or "too " in str(error):
                raise HttpError(400, f"the query asks for too much: {error}") from error
            raise
        finally:
            connection.execute("COMMIT")

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
            outcomes = [self._one(job) for job in group]
            self._writer.execute("COMMIT")
            self._journal.committed(self.commits + 1)
            self.commits += 1
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

    def _one(self, job: _Job) -> tuple[Any, Exception | None]:
        self._writer.execute("SAVEPOINT job")
        try:
            result = job.work(self._writer)
        except Exception as error:
            if not self._writer.in_transaction:
                raise  # a full disk undoes the whole transaction, and with it the others of the group
            self._writer.execute("ROLLBACK TO job")
            self._writer.execute("RELEASE job")
            return None, error
        self._writer.execute("RELEASE job")
        return result, None


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
    connection = _connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)  # noqa: TRY301
        migrate(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreError(f"the store {path} is damaged ({error}): move it away or restore a copy") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute("PRAGMA busy_timeout = 10000")
    register(connection)
    return connection


def _reader(path: Path) -> sqlite3.Connection:
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection
