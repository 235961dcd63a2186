"""A store that is open: what routes and pages ask of it, whether it may be written or not."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from evalbackend.errors import HttpError
from evalbackend.store.journal import Changes

T = TypeVar("T")

_READERS = 4


class OpenStore(ABC):
    """One open store file; `read` works on threads of its own, each with its own connection."""

    def __init__(self, path: Path, meta: dict[str, str]) -> None:
        self.path = path
        self.tenant_id: str = meta["tenant_id"]
        self.url_secret: bytes = bytes.fromhex(meta["url_secret"])
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []

    @property
    @abstractmethod
    def commits(self) -> int:
        """A number that changes with every commit: what was computed at one value holds as long as it stays."""

    @property
    @abstractmethod
    def address(self) -> str:
        """The URI by which a further connection can read the file as it now is."""

    @abstractmethod
    def changes(self, commits: int) -> Changes | None:
        """Return what was touched after so many commits; None if that is not known."""

    @abstractmethod
    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the write thread and return its result once it is committed.

        An exception of `work` undoes what it did and is raised here; others' writes are not touched.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; a second call does nothing."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on a reading connection, off the event loop, in one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, work)

    @abstractmethod
    def _reader(self) -> sqlite3.Connection:
        """Return this thread's connection."""

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._reader()
        connection.execute("BEGIN")
        try:
            return work(connection)
        except (OverflowError, sqlite3.OperationalError) as error:
            if isinstance(error, OverflowError) or "too " in str(error):
                raise HttpError(400, f"the query asks for too much: {error}") from error
            raise
        finally:
            connection.execute("COMMIT")

    def _close_readers(self) -> None:
        self._pool.shutdown()
        for connection in self._readers:
            connection.close()
