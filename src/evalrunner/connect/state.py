"""The folder that a local backend and its users meet in: who serves the store, and who still needs it.

<folder>/            0700, with a .gitignore that keeps all of it out of a repository
  server.json        0600: url, token, pid and birth of the server that has the store
  server.lock        held while somebody starts, finds or ends the server
  store.lock         held by the server for its whole life: two writers never meet in one store
  tenants/<pid>-<birth>-<n>   one empty file per command that uses the server
  backend.log        what the server said
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evalrunner.clock import SYSTEM
from evalrunner.engines.processes import alive, born
from evalrunner.errors import RunFolderError
from evalrunner.shortage import shortage

_POLL = 0.02


@dataclass(frozen=True)
class Server:
    """Who serves the store: `host` is where pid and url mean anything."""

    url: str
    pid: int
    birth: float
    host: str
    store: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class State:
    """The folder, as an object."""

    folder: Path

    @staticmethod
    def of(store: Path) -> State:
        """Return the folder that belongs to a store: `.evalrunner` or, for other files, `<store>.d`."""
        usual = store.parent.name == ".evalrunner" and store.name == "store.sqlite"
        return State(store.parent if usual else store.with_name(store.name + ".d"))

    @property
    def log(self) -> Path:
        """What the server said."""
        return self.folder / "backend.log"

    @property
    def token_file(self) -> Path:
        """The token of a server that was started by hand."""
        return self.folder / "token"

    def prepare(self) -> None:
        """Make the folder, ours and closed to others.

        Raises:
            RunFolderError: it cannot be made, or is another user's.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._close_to_others()
            (self.folder / "tenants").mkdir(mode=0o700, exist_ok=True)
            ignore = self.folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
        except OSError as error:
            found = shortage(error, self.folder)
            raise RunFolderError(f"cannot write in {self.folder}: {found.cause}; {found.remedy}") from None

    def _close_to_others(self) -> None:
        facts = self.folder.stat()
        if facts.st_uid != os.geteuid():
            raise RunFolderError(f"{self.folder} belongs to another user; work in a folder of your own")
        if facts.st_mode & 0o077:
            self.folder.chmod(0o700)

    @contextlib.contextmanager
    def lock(self, name: str, *, wait: float) -> Iterator[bool]:
        """Hold one of the folder's locks; yield False if it could not be had within `wait` seconds."""
        descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _flock(descriptor, wait)
        finally:
            os.close(descriptor)

    def server(self) -> Server | None:
        """Return who is said to serve the store."""
        try:
            return Server(**json.loads((self.folder / "server.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def announce(self, server: Server) -> None:
        """Say who serves the store; only the owner can read it, because the token stands in it."""
        write_private(self.folder / "server.json", json.dumps(asdict(server)))

    def forget(self) -> None:
        """Say that nobody serves the store."""
        (self.folder / "server.json").unlink(missing_ok=True)

    def enter(self) -> Path:
        """Register this process as one that needs the server; return what to unlink in the end."""
        name = f"{os.getpid()}-{int(born() * 1000)}-{secrets.token_hex(3)}"
        path = self.folder / "tenants" / name
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return path

    def tenants(self) -> list[int]:
        """Return the pids of living users, and forget the dead, however they died."""
        living = []
        for path in (self.folder / "tenants").glob("*-*-*"):
            pid, birth, _ = path.name.split("-")
            if alive(int(pid), int(birth) / 1000):
                living.append(int(pid))
            else:
                path.unlink(missing_ok=True)
        return living


def _flock(descriptor: int, wait: float) -> bool:
    deadline = SYSTEM.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if SYSTEM.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        else:
            return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
