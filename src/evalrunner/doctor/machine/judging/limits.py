"""Processors, memory, open files, processes: enough for the workers that a run would have here?"""

from __future__ import annotations

from collections.abc import Iterator

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.judging.words import count, size
from evalrunner.doctor.machine.looking.limits import Limits

#: Measured with langsmith 0.14.17 and an empty target: what the supervisor has, and what each worker adds.
_FILES, _FILES_EACH = 13, 5
_TASKS, _TASKS_EACH = 10, 10
_MEMORY, _MEMORY_EACH = 200 << 20, 60 << 20
_ADDRESSES = 600 << 20
_LOWER = "lower --workers"


def judge(seen: Limits, workers: int) -> Iterator[Check]:
    """Yield what there is to say of the limits."""
    yield _processors(seen, workers)
    yield _memory(seen, workers)
    yield _files(seen, workers)
    yield _tasks(seen, workers)
    yield from _rarely(seen)


def _processors(seen: Limits, workers: int) -> Check:
    here = f"{seen.usable} of {seen.cpus}" if seen.usable < seen.cpus else f"{seen.usable}"
    if seen.quota is not None and seen.quota < seen.usable:
        here += f", and by the cgroup's quota the time of {seen.quota:g}"
        return Check(
            "processors",
            Status.NOTE,
            f"{here}: a run shares out its workers' threads by processors, and not by that quota",
            f"say how many each may have: --env OMP_NUM_THREADS={max(1, int(seen.quota / workers))}, and the like",
        )
    return Check("processors", Status.OK, f"{here} for {count(workers, 'worker')}")


def _memory(seen: Limits, workers: int) -> Check:
    needed = _MEMORY + workers * _MEMORY_EACH
    left, said = seen.available, "of memory left"
    if seen.memory_limit is not None and seen.memory_used is not None:
        inside = max(0, seen.memory_limit - seen.memory_used)
        if left is None or inside < left:
            left, said = inside, f"left of the {size(seen.memory_limit)} that the cgroup allows"
    if left is None:
        return Check("memory", Status.OK, "how much is left is not known")
    if left < needed:
        return Check(
            "memory",
            Status.WARNING,
            f"{size(left)} {said}; {count(workers, 'worker')} need about {size(needed)} before the target takes any",
            f"{_LOWER}, or have the job given more memory",
        )
    return Check("memory", Status.OK, f"{size(left)} {said}")


def _files(seen: Limits, workers: int) -> Check:
    if seen.files is None:
        return Check("open-files", Status.OK, "no limit")
    needed = _FILES + _FILES_EACH * workers
    if seen.files < 2 * needed:
        enough = seen.files_hard is None or seen.files_hard >= 4 * needed
        return Check(
            "open-files",
            Status.WARNING,
            f"at most {seen.files:,}; {count(workers, 'worker')} need about {needed:,} in the supervisor alone",
            f"ulimit -n {4 * needed}" if enough else f"{_LOWER}, or have the hard limit of open files raised",
        )
    return Check("open-files", Status.OK, f"at most {seen.files:,}")


def _tasks(seen: Limits, workers: int) -> Check:
    needed = _TASKS + _TASKS_EACH * workers
    if seen.tasks_limit is not None and seen.tasks is not None:
        left = max(0, seen.tasks_limit - seen.tasks)
        if left < needed:
            return Check(
                "processes",
                Status.WARNING,
                f"the cgroup has room for {left:,} more processes and threads; {count(workers, 'worker')} need about "
                f"{needed:,}",
                f"{_LOWER}, or have the cgroup's pids.max raised",
            )
    if seen.processes is not None and seen.processes < needed:
        return Check(
            "processes",
            Status.WARNING,
            f"this user may have {seen.processes:,} processes and threads; {count(workers, 'worker')} need about "
            f"{needed:,}",
            f"raise `ulimit -u`, or {_LOWER}",
        )
    limits = [one for one in (seen.processes, seen.tasks_limit) if one is not None]
    return Check("processes", Status.OK, f"at most {min(limits):,}" if limits else "no limit")


def _rarely(seen: Limits) -> Iterator[Check]:
    """Yield what is hardly ever limited, where it is."""
    if seen.address_space is not None:
        yield Check(
            "address-space",
            Status.WARNING if seen.address_space < _ADDRESSES else Status.NOTE,
            f"at most {size(seen.address_space)} of addresses per process (ulimit -v); a worker has about "
            f"{size(_ADDRESSES)} before the target takes any",
            "limit the job's memory instead: what is limited here is not memory",
        )
    if seen.file_size is not None:
        yield Check(
            "file-size",
            Status.NOTE,
            f"a file has at most {size(seen.file_size)} (ulimit -f): a worker that has written so much of its spool "
            "cannot go on",
            "ulimit -f unlimited",
        )
