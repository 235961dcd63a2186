"""Where an upload keeps its index, and what it unpacks.

.evalrunner/upload/
    scan-<random>/   while the input is read: its index, and what of it was packed or came from stdin
    <key>/           lock, index.sqlite, failed_traces.json; key: of the destination, the project and every byte read

A scan that was killed leaves its folder; the next upload removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from evalrunner.config import Endpoint
from evalrunner.delivery.sending.transport import is_loopback
from evalrunner.errors import RunFolderError
from evalrunner.shortage import shortage
from evalrunner.transfer.upload.index import Index

INDEX, FAILED = "index.sqlite", "failed_traces.json"
_BUSY = "another upload of this input into this project is running"


@contextlib.contextmanager
def scanning(root: Path) -> Iterator[Path]:
    """Yield an empty folder, and remove it afterwards.

    Raises:
        RunFolderError: it cannot be made.
    """
    path = root.absolute() / f"scan-{secrets.token_hex(6)}"
    with locked(path, _BUSY):
        for other in path.parent.glob("scan-*"):
            _remove_if_left(other)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _remove_if_left(path: Path) -> None:
    """Remove the folder of a scan whose process is gone."""
    with contextlib.suppress(RunFolderError, OSError), locked(path, _BUSY):
        shutil.rmtree(path)


@contextlib.contextmanager
def opened(
    root: Path, endpoint: Endpoint, project: str, fingerprint: str, scratch: Path
) -> Iterator[tuple[Path, Index]]:
    """Yield the folder of this upload, locked, and its index: the one of an earlier upload, else the fresh one.

    Args:
        fingerprint: of every byte of the input.
        scratch: where the fresh index lies.

    Raises:
        RunFolderError: it cannot be written, or another upload of the same input holds it.
    """
    named = f"{place_of(endpoint)}|{endpoint.workspace}|{project}|{fingerprint}"
    path = root.absolute() / hashlib.sha256(named.encode()).hexdigest()[:24]
    with locked(path, _BUSY):
        if not (path / INDEX).exists():
            (scratch / INDEX).replace(path / INDEX)
        index = Index(path / INDEX)
        try:
            yield path, index
        finally:
            index.close()


def place_of(endpoint: Endpoint) -> str:
    """Name a destination; a local backend has another port each time, and the project's id tells its stores apart."""
    host = urlsplit(endpoint.url).hostname or ""
    return host if is_loopback(host) else endpoint.url


@contextlib.contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Make a folder of ours, if needed, and hold it.

    Args:
        busy: what is going on if somebody else holds it.

    Raises:
        RunFolderError: it cannot be written, or is held.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(path / "lock", flags, 0o600)
    except OSError as error:
        found = shortage(error, path)
        raise RunFolderError(f"the folder {path} cannot be written: {found.cause}; {found.remedy}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise RunFolderError(f"{busy} in {path}") from None
    try:
        yield
    finally:
        os.close(lock)
