"""A folder in which a socket can be made: the forkserver listens on one, and its address has 107 bytes.

`TMPDIR` of a batch job is often longer than that allows, or lies on a filesystem that has no sockets.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from multiprocess import util

#: Where to look beside the usual place; all of them are on this machine.
_SHORT = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - a folder of our own is made there, 0700
#: As long as the names that `multiprocess` makes (`pymp-12345678/listener-12345678`).
_ADDRESS = "listener-12345678"


def room_for_sockets() -> bool:
    """Have `multiprocess` use a private folder that takes sockets; return whether there is one.

    It is removed when this process ends; after a SIGKILL it stays behind, empty or with a dead socket in it. What the
    workers see as TMPDIR is left alone.
    """
    for place in _places():
        if _takes_sockets(place):
            with _temporarily_in(place):
                return _has_room(Path(util.get_temp_dir()))
    return False


def _places() -> Iterator[str]:
    with contextlib.suppress(OSError):  # none can be written, not even the current folder
        yield tempfile.gettempdir()
    yield from _SHORT
    if mine := os.environ.get("XDG_RUNTIME_DIR"):
        yield mine


def _takes_sockets(place: str) -> bool:
    try:
        with tempfile.TemporaryDirectory(prefix="pymp-", dir=place) as folder:
            return _has_room(Path(folder))
    except OSError:
        return False


def _has_room(folder: Path) -> bool:
    address = folder / _ADDRESS
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(address))
        address.unlink()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _temporarily_in(place: str) -> Iterator[None]:
    before = tempfile.tempdir
    tempfile.tempdir = place
    try:
        yield
    finally:
        tempfile.tempdir = before
