"""Which items a worker is executing at this very moment, in a file that outlives it.

One slot per lane: item number + 1 (0 when the lane is idle), and when it began; mapped, so that a note costs no
system call, needs no thread and no lock, and a SIGKILL cannot take it back. While a worker lives the supervisor
reads here what is being executed and since when: a report about it might never come, because the item may hold the
GIL from its first moment. When a worker dies it reads here which items may have killed it: only those count a
death, and the others of its lease are simply handed out again.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

_SLOT = struct.Struct("<qq")
_ITEM = struct.Struct("<q")


class InFlight:
    """The worker's side: one writer, in one process."""

    def __init__(self, path: Path, lanes: int) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(fd, lanes * _SLOT.size)
            self._map = mmap.mmap(fd, lanes * _SLOT.size)
        finally:
            os.close(fd)

    def set(self, lane: int, item: int) -> None:
        """Note that `lane` executes `item`, from now on."""
        # The time first: who reads in between sees an idle lane, and never an item with another's time. The clock
        # is the same for all processes (Linux: CLOCK_MONOTONIC; it stands still while the machine is suspended).
        _ITEM.pack_into(self._map, lane * _SLOT.size + _ITEM.size, time.monotonic_ns())
        _ITEM.pack_into(self._map, lane * _SLOT.size, item + 1)

    def clear(self, lane: int) -> None:
        """Note that `lane` executes nothing."""
        _ITEM.pack_into(self._map, lane * _SLOT.size, 0)


def read(path: Path) -> dict[int, float]:
    """Return the items on a board, and when each began (monotonic seconds); none if there is no board yet."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    whole = len(data) - len(data) % _SLOT.size
    return {value - 1: began / 1e9 for value, began in _SLOT.iter_unpack(data[:whole]) if value > 0}
