"""What a push remembers: a folder with its spools, and a small ledger of what the destination has accepted.

.evalrunner/push/<source experiment>-<hash of the destination's experiment>/
    lock           held while a push runs
    accepted.sqlite
    <n>.spool      one per push that had something to build; gone once all of it was read back
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

from evalrunner.errors import RunFolderError
from evalrunner.shortage import shortage


class PushFolder:
    """An open, locked folder of one push.

    Raises:
        RunFolderError: it cannot be written, or another push holds it.
    """

    def __init__(self, root: Path, source: str, destination: str) -> None:
        digest = hashlib.sha256(destination.encode()).hexdigest()[:12]
        self.path = (root / f"{source}-{digest}").absolute()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._lock = os.open(self.path / "lock", flags, 0o600)
        except OSError as error:
            found = shortage(error, self.path)
            raise RunFolderError(
                f"the folder {self.path} cannot be written: {found.cause}; {found.remedy}"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise RunFolderError(f"another push of this experiment is running in {self.path}") from None
        except OSError as error:
            os.close(self._lock)
            raise RunFolderError(f"the folder {self.path} cannot be locked: {error.strerror}") from error

    def spools(self) -> list[Path]:
        """Return the spools that are there, oldest first."""
        return sorted(self.path.glob("*.spool"), key=lambda path: int(path.stem))

    def new_spool(self) -> Path:
        """Return the path of a spool that does not exist yet."""
        return self.path / f"{max([int(path.stem) for path in self.spools()], default=0) + 1}.spool"

    def forget_spools(self) -> None:
        """Remove the spools: everything in them was read back from the destination."""
        for path in self.spools():
            path.unlink()

    def close(self) -> None:
        """Let go of it."""
        os.close(self._lock)


class Accepted:
    """The ids of what the destination has accepted, durable when a call returns; for any thread.

    Raises:
        RunFolderError: the file cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "accepted.sqlite"
        self._guard = threading.Lock()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            self._db = sqlite3.connect(path, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("CREATE TABLE IF NOT EXISTS accepted (id TEXT PRIMARY KEY) WITHOUT ROWID")
            self._db.commit()
        except (sqlite3.Error, OSError) as error:
            found = shortage(error, path)
            raise RunFolderError(
                f"the ledger {path} cannot be opened: {found.cause}; {found.remedy}"
            ) from error

    def ids(self) -> set[str]:
        """Return all of them."""
        with self._guard:
            return {row[0] for row in self._db.execute("SELECT id FROM accepted")}

    def add(self, ids: Iterable[str]) -> None:
        """Book what was accepted."""
        with self._guard, self._db:
            self._db.executemany("INSERT OR IGNORE INTO accepted VALUES (?)", [(one,) for one in ids])

    def take_back(self, ids: Iterable[str]) -> None:
        """Unbook what was accepted and does not come back, so that the next push sends it again."""
        with self._guard, self._db:
            self._db.executemany("DELETE FROM accepted WHERE id = ?", [(one,) for one in ids])

    def close(self) -> None:
        """Close the file."""
        self._db.close()
