"""What this process may use: processors, memory, files, processes; of the machine, its limits and its cgroup."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """What there is; None: no limit, or not known.

    Attributes:
        cpus: how many the machine has.
        usable: how many this process may run on.
        quota: processors' worth of time that the cgroup grants.
        memory: bytes that the machine has, and `available` what is left of it.
        memory_limit: the cgroup's, and `memory_used` what is used of that.
        files: how many this process may have open; `files_hard` how far that can be raised.
        processes: how many processes and threads this user may have.
        tasks_limit: the cgroup's for them, and `tasks` how many there are.
        address_space: bytes of virtual memory per process.
        file_size: bytes of one file.
    """

    cpus: int
    usable: int
    quota: float | None = None
    memory: int | None = None
    available: int | None = None
    memory_limit: int | None = None
    memory_used: int | None = None
    files: int | None = None
    files_hard: int | None = None
    processes: int | None = None
    tasks_limit: int | None = None
    tasks: int | None = None
    address_space: int | None = None
    file_size: int | None = None


def look(root: Path = Path("/")) -> Limits:
    """Read it.

    Args:
        root: what stands for `/`; for tests.
    """
    memory = _memory(root / "proc/meminfo")
    files, files_hard = _limit(resource.RLIMIT_NOFILE)
    used, limit = _tightest(root, "memory", ("memory.current", "memory.max"), _V1_MEMORY)
    tasks, tasks_limit = _tightest(root, "pids", ("pids.current", "pids.max"), ("pids.current", "pids.max"))
    total = memory.get("MemTotal")
    return Limits(
        cpus=os.cpu_count() or 1,
        usable=len(os.sched_getaffinity(0)),
        quota=_quota(root),
        memory=total,
        available=memory.get("MemAvailable"),
        # In v1 "no limit" is a number beyond any machine's memory.
        memory_limit=limit if limit is not None and (total is None or limit < total) else None,
        memory_used=used,
        files=files,
        files_hard=files_hard,
        processes=_limit(resource.RLIMIT_NPROC)[0],
        tasks_limit=tasks_limit,
        tasks=tasks,
        address_space=_limit(resource.RLIMIT_AS)[0],
        file_size=_limit(resource.RLIMIT_FSIZE)[0],
    )


_V1_MEMORY = ("memory.usage_in_bytes", "memory.limit_in_bytes")


def _limit(which: int) -> tuple[int | None, int | None]:
    soft, hard = (None if one == resource.RLIM_INFINITY else one for one in resource.getrlimit(which))
    return soft, hard


def _memory(path: Path) -> dict[str, int]:
    found = {}
    for line in _lines(path):
        name, _, rest = line.partition(":")
        number, *unit = rest.split()
        found[name] = int(number) * (1024 if unit else 1)
    return found


def _quota(root: Path) -> float | None:
    """Return the smallest share of time that a cgroup around this process grants."""
    shares = []
    for folder, version in _cgroups(root, "cpu"):
        if version == 2:
            quota, _, period = _first(folder / "cpu.max").partition(" ")
        else:
            quota, period = _first(folder / "cpu.cfs_quota_us"), _first(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            shares.append(int(quota) / int(period))
    return min(shares, default=None)


def _tightest(
    root: Path, controller: str, second: tuple[str, str], first: tuple[str, str]
) -> tuple[int | None, int | None]:
    """Return (used, limit) of the cgroup around this process that has least left; the files differ by version."""
    found: list[tuple[int, int]] = []
    for folder, version in _cgroups(root, controller):
        used, limit = (_first(folder / name) for name in (second if version == 2 else first))
        if used.isdigit() and limit.isdigit():
            found.append((int(used), int(limit)))
    return min(found, key=lambda one: one[1] - one[0], default=(None, None))


def _cgroups(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folders of the cgroups of this process, the innermost first, and the version of each."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controller if controllers else "")
        inner = Path(path.lstrip("/"))
        # A container sees its own cgroup as the top, whatever path it is told.
        for place in dict.fromkeys((inner, *inner.parents)):
            yield top / place, 1 if controllers else 2


def _first(path: Path) -> str:
    return next(iter(_lines(path)), "").strip()


def _lines(path: Path) -> list[str]:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").splitlines()
    return []
