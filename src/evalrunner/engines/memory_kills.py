"""Whether the kernel has killed something for want of memory: evidence, so that nobody has to guess.

A SIGKILL does not say who sent it. The kernel counts its own: per cgroup (v2 `memory.events`, v1
`memory.oom_control`) and for the whole machine (`/proc/vmstat`), and names the process in its log, where that may
be read.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
#: Bytes of one record of the kernel's log, at most (kernel: CONSOLE_EXT_LOG_MAX).
_RECORD = 8192


class MemoryKills:
    """Looks at the counters when it is made, and says later what has changed.

    Args:
        root: what stands for `/`; for tests.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._before = self._counters()
        self._since = time.monotonic() - 1.0

    def evidence(self, pid: int) -> str | None:
        """Say why a SIGKILLed process may, or may not, have been killed for want of memory; None: not known."""
        if self._named(pid):
            return "out of memory: the kernel's log names it"
        now = self._counters()
        if not now:
            return None
        before, self._before = self._before, now
        rose = [where for where, count in now.items() if count > before.get(where, count)]
        if rose:
            return f"out of memory: the kernel has counted a kill in {rose[0]}"
        return "the kernel has counted no kill for want of memory"

    def _counters(self) -> dict[str, int]:
        """Return where -> how many; the cgroups of this process first."""
        counted = {}
        for path, name in [*self._cgroups(), (self._root / "proc/vmstat", "this machine")]:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                if found := _KILLS.search(path.read_text()):
                    counted[name] = int(found[1])
        return counted

    def _cgroups(self) -> list[tuple[Path, str]]:
        """Return the files that count for this process's cgroups, the innermost first."""
        files = []
        with contextlib.suppress(OSError, UnicodeDecodeError):
            for line in (self._root / "proc/self/cgroup").read_text().splitlines():
                _, controllers, path = line.split(":", 2)
                if controllers and "memory" not in controllers.split(","):
                    continue
                top = self._root / "sys/fs/cgroup" / ("memory" if controllers else "")
                file = "memory.oom_control" if controllers else "memory.events"
                inner = Path(path.lstrip("/"))
                places = [inner, *inner.parents]
                files += [(top / place / file, f"the cgroup {Path('/', place)}") for place in places]
        return files

    def _named(self, pid: int) -> bool:
        """Tell whether the kernel's log says that it killed this process (by its pid outside of any container)."""
        said = re.compile(rb"\d+,\d+,(\d+),[^;]*;.*Killed process %d \(" % pid)
        try:
            fd = os.open(self._root / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            while record := os.read(fd, _RECORD):
                # The log is older than this run, and pids come again. Its clock: monotonic microseconds.
                if (found := said.match(record)) and int(found[1]) / 1e6 > self._since:
                    return True
        except OSError:  # the end of the log (EAGAIN), or a record was overwritten (EPIPE): good enough
            pass
        finally:
            os.close(fd)
        return False
