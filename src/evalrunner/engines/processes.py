"""Which processes are alive, by pid and birth: a pid alone is given to somebody else after a while."""

from __future__ import annotations

import contextlib
import os

import psutil

#: The kernel counts a birth from boot, and the time of boot shifts when the clock is set.
_TOLERANCE = 2.0


def born(pid: int | None = None) -> float:
    """Return when a process was born, this one by default."""
    return psutil.Process(os.getpid() if pid is None else pid).create_time()


def eldest(variable: str, value: str) -> float:
    """Return when the oldest process was born that we descend from and that has this variable, as we have."""
    birth = born()
    # What belongs to others, as a batch system's own processes do, cannot be asked for its environment.
    with contextlib.suppress(psutil.Error, OSError):
        for one in psutil.Process().parents():
            if one.environ().get(variable) != value:
                break
            birth = min(birth, one.create_time())
    return birth


def alive(pid: int, birth: float) -> bool:
    """Tell whether the process `pid` lives and is the one that was born then; a zombie is dead."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - birth) < _TOLERANCE and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return _is_hidden(pid)
    except psutil.AccessDenied:
        return True


def _is_hidden(pid: int) -> bool:
    """Tell whether a process is there that we are not shown: /proc may hide those of other users (`hidepid`)."""
    with contextlib.suppress(ProcessLookupError, OverflowError):
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
    return False
