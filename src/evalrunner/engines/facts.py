"""What the kernel knows of a worker process on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

import psutil

from evalrunner.engines.base import Usage
from evalrunner.errors import RunFolderError

#: Seconds that an earlier run's workers get to die.
DEATH_SECONDS = 10.0


def watch_death(pid: int) -> int | None:
    """Return a descriptor that becomes readable when a child of ours ends; None where the kernel has none.

    Whatever the child has forked may live on and hold everything else that it held (Linux 5.3, pidfd_open(2)).
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


class ProcessFacts:
    """Looks at one process; one that is gone has no facts.

    Attributes:
        born: when it was made (seconds since the epoch), 0.0 if it was gone before anybody looked.
    """

    def __init__(self, pid: int) -> None:
        self._process: psutil.Process | None = None
        self.born = 0.0
        with contextlib.suppress(psutil.Error):  # it is dead already; its sentinel will say so
            process = psutil.Process(pid)
            self.born = process.create_time()
            self._process = process

    def usage(self) -> Usage | None:
        """Return what it takes now."""
        if self._process is None:
            return None
        with contextlib.suppress(psutil.Error):
            rss = self._process.memory_info().rss
            return Usage(rss, self._process.status() == psutil.STATUS_STOPPED)
        return None


def end_earlier(processes: Iterable[tuple[int, float]]) -> int:
    """End processes of an earlier, dead supervisor; return when they are known dead, with their number.

    A pid alone may be somebody else's by now; with its creation time it is not.

    Raises:
        RunFolderError: one does not die.
    """
    killed = []
    for pid, born in processes:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if abs(process.create_time() - born) < 0.05:
                process.kill()
                killed.append(process)
    _, alive = psutil.wait_procs(killed, timeout=DEATH_SECONDS)
    if alive:
        raise RunFolderError(
            f"worker {alive[0].pid} of an earlier run does not die (stuck in the kernel?); "
            "end it before this experiment goes on: it may still write"
        )
    return len(killed)
