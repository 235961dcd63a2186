"""What a process inherits from the one that starts it, and a worker has from a forkserver that was started earlier.

In a notebook the forkserver outlives the run that has started it. A variable that is set between two runs, another
time zone or limit would reach no worker of the second run, and nobody would be told: model A is evaluated again
under the name of model B. (The current folder is not here: it is the plan's, and the worker goes there.)
"""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

_LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_")]


@dataclass(frozen=True)
class Inherited:
    """What the starting process has now.

    Attributes:
        environment: all of it.
        limits: name -> (soft, hard), of `resource`.
        cpus: those that it may run on, empty where that is not known.
        umask: None where that is not known.
    """

    environment: dict[str, str] = field(repr=False)  # with keys
    limits: dict[str, tuple[int, int]]
    cpus: frozenset[int]
    umask: int | None

    @classmethod
    def from_here(cls) -> Inherited:
        """Read it from this process."""
        limits = {name: resource.getrlimit(getattr(resource, name)) for name in _LIMITS}
        cpus = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()
        return cls(dict(os.environ), limits, cpus, _umask())

    def take(self) -> None:
        """Have it in this process; what the system refuses stays as it is."""
        if self.environment != dict(os.environ):
            os.environ.clear()
            os.environ.update(self.environment)
            time.tzset()
            tempfile.tempdir = None  # found again where TMPDIR says
        for name, limit in self.limits.items():
            kind = getattr(resource, name)
            with contextlib.suppress(OSError, ValueError):
                if resource.getrlimit(kind) != limit:
                    resource.setrlimit(kind, limit)
        if self.cpus:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, self.cpus)
        if self.umask is not None:
            os.umask(self.umask)


def _umask() -> int | None:
    # `os.umask` cannot be asked without being changed, for every thread of the process.
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)
    return None
