"""Which items a worker is executing at this very moment, in a file that outlives it.

One 8-byte slot per lane, item number + 1, 0 when the lane is idle; mapped, so that a note costs no system
call and a SIGKILL cannot take it back. When a worker dies the supervisor reads here which items may have
killed it: only those count a death, and the others of its lease are simply handed out again.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

_SLOT = struct.Struct("<q")


class Board:
    """The worker's side: one writer, in one process."""

    def __init__(self, path: Path, lanes: int) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(fd, lanes * _SLOT.size)
            self._map = mmap.mmap(fd, lanes * _SLOT.size)
        finally:
            os.close(fd)

    def set(self, lane: int, item: int) -> None:
        """Note that `lane` executes `item`."""
        _SLOT.pack_into(self._map, lane * _SLOT.size, item + 1)

    def clear(self, lane: int) -> None:
        """Note that `lane` executes nothing."""
        _SLOT.pack_into(self._map, lane * _SLOT.size, 0)


def read(path: Path) -> list[int]:
    """Return the items on a board; none if the worker died before it had one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    whole = len(data) - len(data) % _SLOT.size
    return [value - 1 for (value,) in _SLOT.iter_unpack(data[:whole]) if value > 0]
