"""Out of memory is said with evidence only."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalrunner.engines.memory_kills import MemoryKills

NONE = "the kernel has counted no kill for want of memory"


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def machine(root: Path, *, own: int = 0, job: int = 0, all_: int = 0, version: int = 2) -> None:
    v2, v1 = "0::/job/step\n", "7:pids:/job/step\n5:cpu,memory:/job/step\n0::/\n"
    write(root, "proc/self/cgroup", v2 if version == 2 else v1)
    write(root, "proc/vmstat", f"pgfault 5\noom_kill {all_}\nnr_free 7\n")
    top, file = ("", "memory.events") if version == 2 else ("memory/", "memory.oom_control")
    for place, kills in (("job/step", own), ("job", job)):
        write(root, f"sys/fs/cgroup/{top}{place}/{file}", f"low 0\noom 9\noom_kill {kills}\n")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({}, NONE),
        (
            {"own": 1, "job": 1, "all_": 1},
            "out of memory: the kernel has counted a kill in the cgroup /job/step",
        ),
        ({"job": 1, "all_": 1}, "out of memory: the kernel has counted a kill in the cgroup /job"),
        ({"all_": 1}, "out of memory: the kernel has counted a kill in this machine"),
    ],
)
def test_the_counters_are_the_evidence(
    tmp_path: Path, version: int, after: dict[str, int], said: str
) -> None:
    machine(tmp_path, version=version)
    kills = MemoryKills(tmp_path)
    machine(tmp_path, version=version, **after)
    assert kills.evidence(5) == said
    assert kills.evidence(6) == NONE, "a kill is evidence once"


def test_the_kernels_log_names_the_process(tmp_path: Path) -> None:
    machine(tmp_path)
    kills = MemoryKills(tmp_path)
    told = "Out of memory: Killed process 51 (python) total-vm:1kB"
    write(tmp_path, "dev/kmsg", f"3,1,2,-;{told}\n")
    assert kills.evidence(51) == NONE, "that was long ago, and another process"
    write(tmp_path, "dev/kmsg", f"3,1,{10**16},-;{told}\n")
    assert kills.evidence(51) == "out of memory: the kernel's log names it"
    assert kills.evidence(5) == NONE


def test_where_nothing_can_be_read_nothing_is_said(tmp_path: Path) -> None:
    assert MemoryKills(tmp_path).evidence(5) is None


def test_this_machine_can_be_asked() -> None:
    assert MemoryKills().evidence(2**22 + 1) in (None, NONE)
