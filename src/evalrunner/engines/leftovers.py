"""Processes that a worker's target has started and that have left its process group: found, and ended.

A daemon makes a session of its own, so that a kill of the worker's group does not reach it. It is known by a mark:
what was started by name has it in the environment that it was given, what was merely forked has it in its memory.
And what lost its parent has become a child of the forkserver, whatever it has cleared.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

#: Name of the environment variable that says whose child a process is.
MARK = "EVALRUNNER_MARK"
_PR_SET_CHILD_SUBREAPER = 36


class Leftovers:
    """Finds and ends them.

    Args:
        parent: the process to which orphans go, None where that is nobody of ours.
    """

    def __init__(self, parent: Callable[[], int | None]) -> None:
        self._parent = parent
        self._since = time.time() - 1.0
        self._told: set[psutil.Process] = set()  # the kernel takes a moment to end what was killed

    def end_marked(self, mark: str, spare: set[int]) -> list[str]:
        """End what bears this mark, or one that begins with it; return their names."""
        return self._end(process for process in self._young(spare) if _bears(process.pid, mark))

    def end_orphans(self, spare: set[int]) -> list[str]:
        """End what has lost its parent; return their names. For the end of a run: it may be any worker's."""
        parent = self._parent()
        with contextlib.suppress(psutil.Error):
            if parent is not None:
                return self._end(one for one in psutil.Process(parent).children() if one.pid not in spare)
        return []

    def _end(self, processes: Iterable[psutil.Process]) -> list[str]:
        """Kill each with its children; psutil does not mistake a later process for one of these."""
        ended = []
        for process in processes:
            with contextlib.suppress(psutil.Error):
                if process in self._told or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                family = [*process.children(recursive=True), process]
                self._told.add(process)
                ended.append(f"{process.name()} (pid {process.pid})")
                for one in family:
                    with contextlib.suppress(psutil.Error):
                        one.kill()
        return ended

    def _young(self, spare: set[int]) -> Iterable[psutil.Process]:
        spare = spare | {os.getpid()}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.create_time() >= self._since and process.pid not in spare:
                    yield process


def _bears(pid: int, mark: str) -> bool:
    with contextlib.suppress(OSError):
        if f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes():
            return True
        return f"/memfd:{mark}" in Path(f"/proc/{pid}/maps").read_text(errors="replace")
    return False


_marks: list[mmap.mmap] = []


def bear(mark: str) -> None:
    """Let this process, and whatever it forks, bear a mark in its memory; it is gone after an exec.

    No descriptor stays open: daemons close those that they find.
    """
    with contextlib.suppress(
        OSError, AttributeError
    ):  # not Linux: what was started by name is found all the same
        fd = os.memfd_create(mark, os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, 1)
            _marks.append(mmap.mmap(fd, 1))
        finally:
            os.close(fd)


def take_orphans() -> None:
    """Have orphans among this process's descendants become its children, to be reaped, and found, here."""
    with contextlib.suppress(OSError, AttributeError):  # not Linux: they go to init
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)
