"""Limits of a machine: read from files as kernels write them, and judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.judging.limits import judge
from evalrunner.doctor.machine.looking.limits import Limits, look

OK, NOTE, WARNING = Status.OK, Status.NOTE, Status.WARNING
MIB = 1 << 20
ROOMY = Limits(
    cpus=8, usable=8, memory=16 << 30, available=8 << 30, files=4096, files_hard=4096, processes=10_000
)


def checks(seen: Limits, workers: int = 4) -> dict[str, Check]:
    return {one.code: one for one in judge(seen, workers)}


def test_a_roomy_machine_is_ok_throughout() -> None:
    assert {one.status for one in checks(ROOMY).values()} == {OK}
    assert {one.status for one in checks(Limits(cpus=1, usable=1)).values()} == {OK}


@pytest.mark.parametrize(
    ("change", "workers", "code", "status"),
    [
        ({"usable": 4}, 4, "processors", OK),
        ({"quota": 2.5}, 4, "processors", NOTE),
        ({"quota": 8.0}, 4, "processors", OK),
        ({"available": 100 * MIB}, 4, "memory", WARNING),
        ({"memory_limit": 512 * MIB, "memory_used": 300 * MIB}, 4, "memory", WARNING),
        ({"memory_limit": 4096 * MIB, "memory_used": 300 * MIB}, 4, "memory", OK),
        ({"memory_limit": 100 * MIB, "memory_used": 300 * MIB}, 1, "memory", WARNING),
        ({}, 200, "memory", WARNING),
        ({"files": 64}, 4, "open-files", WARNING),
        ({"files": 70}, 4, "open-files", OK),
        ({"files": 256}, 40, "open-files", WARNING),
        ({"processes": 40}, 4, "processes", WARNING),
        ({"tasks_limit": 100, "tasks": 80}, 4, "processes", WARNING),
        ({"tasks_limit": 1000, "tasks": 80}, 4, "processes", OK),
        ({"address_space": 8 << 30}, 4, "address-space", NOTE),
        ({"address_space": 500 * MIB}, 4, "address-space", WARNING),
        ({"file_size": 1 << 30}, 4, "file-size", NOTE),
    ],
)
def test_one_limit(change: dict[str, float], workers: int, code: str, status: Status) -> None:
    assert checks(replace(ROOMY, **change), workers)[code].status is status  # type: ignore[arg-type]


def test_a_soft_limit_that_can_be_raised_is_answered_with_the_command() -> None:
    assert checks(replace(ROOMY, files=64))["open-files"].remedy == "ulimit -n 132"
    assert "hard limit" in checks(replace(ROOMY, files=64, files_hard=64))["open-files"].remedy


def test_what_is_left_in_a_cgroup_is_said_as_that() -> None:
    seen = replace(ROOMY, memory_limit=1 << 30, memory_used=512 * MIB)
    assert checks(seen)["memory"].seen == "512 MiB left of the 1 GiB that the cgroup allows"


def test_threads_are_shared_out_by_the_quota() -> None:
    assert checks(replace(ROOMY, quota=6.0), 3)["processors"].remedy.endswith(
        "OMP_NUM_THREADS=2, and the like"
    )
    assert checks(replace(ROOMY, quota=0.5), 3)["processors"].remedy.endswith(
        "OMP_NUM_THREADS=1, and the like"
    )


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\nHugePages_Total:       0\n"


def test_the_second_kind_of_cgroups(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/job/step\n",
        "proc/meminfo": MEMINFO,
        "sys/fs/cgroup/job/step/memory.max": "max\n",
        "sys/fs/cgroup/job/step/memory.current": "1000\n",
        "sys/fs/cgroup/job/memory.max": "2000000\n",
        "sys/fs/cgroup/job/memory.current": "1500000\n",
        "sys/fs/cgroup/job/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/job/step/cpu.max": "max 100000\n",
        "sys/fs/cgroup/job/pids.max": "512\n",
        "sys/fs/cgroup/job/pids.current": "12\n",
    }
    seen = look(write(tmp_path, **{name.replace("/", "__"): text for name, text in files.items()}))
    assert (seen.memory_limit, seen.memory_used, seen.quota) == (2_000_000, 1_500_000, 1.5)
    assert (seen.tasks_limit, seen.tasks) == (512, 12)
    assert (seen.memory, seen.available) == (16_000_000 * 1024, 8_000_000 * 1024)


def test_the_first_kind_of_cgroups(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "9:name=systemd:/\n4:memory:/job\n3:cpu,cpuacct:/job\n2:pids:/\n0::/\n",
        "proc/meminfo": MEMINFO,
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "3000000\n",
        "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "1000000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "5000000\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
    }
    seen = look(write(tmp_path, **{name.replace("/", "__"): text for name, text in files.items()}))
    assert (seen.memory_limit, seen.memory_used) == (3_000_000, 1_000_000)
    assert seen.quota is None
    assert seen.tasks_limit is None


def test_no_limit_of_the_first_kind_is_a_number_beyond_the_memory(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/\n",
        "proc/meminfo": MEMINFO,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "5000000\n",
    }
    seen = look(write(tmp_path, **{name.replace("/", "__"): text for name, text in files.items()}))
    assert seen.memory_limit is None


def test_a_system_without_any_of_these_files_has_no_limits(tmp_path: Path) -> None:
    seen = look(tmp_path)
    assert (seen.memory, seen.available, seen.memory_limit, seen.quota) == (None, None, None, None)
    assert seen.usable >= 1
