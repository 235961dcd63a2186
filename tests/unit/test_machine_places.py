"""Folders: looked at, and judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.judging.places import judge, judge_shared, judge_temporary
from evalrunner.doctor.machine.looking.places import Place, look, mount_of, parsed
from evalrunner.shortage import Shortage
from evalrunner.supervisor.setup.folder import NEEDED_BYTES

OK, NOTE, WARNING, FAILURE = Status.OK, Status.NOTE, Status.WARNING, Status.FAILURE
GOOD = Place("runs", Path("/w/runs"), Path("/w"), "ext4", frozenset(), 50 << 30, 1_000_000, None, 0.004)
REFUSED = Shortage("/w may not be written by this user", "change its permissions")


def one(seen: Place) -> Check:
    (check,) = judge(seen)
    return check


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({}, OK, "ext4, 50 GiB left, synced in 4 ms"),
        ({"kind": ""}, OK, "50 GiB left"),
        ({"refused": REFUSED}, FAILURE, "/w/runs is not there yet, and /w may not be written by this user"),
        ({"refused": REFUSED, "path": Path("/w")}, FAILURE, "/w may not be written by this user"),
        ({"unlockable": "No locks available"}, FAILURE, "files in /w cannot be locked (No locks available)"),
        ({"free": 1 << 20}, FAILURE, "1 MiB left; a run needs at least 16 MiB"),
        ({"free": 500 << 20}, NOTE, "500 MiB left"),
        ({"files_left": 3}, WARNING, "only 3 more files can be made"),
        ({"files_left": None}, OK, "ext4"),
        ({"kind": "nfs4"}, WARNING, "on a network file system (nfs4)"),
        ({"kind": "lustre"}, WARNING, "on a network file system (lustre)"),
        ({"kind": "tmpfs"}, WARNING, "is in memory (tmpfs)"),
        ({"synced": 0.5}, NOTE, "took 0.50 s to sync"),
        ({"kind": "nfs", "refused": REFUSED}, FAILURE, "may not be written"),
    ],
)
def test_a_folder_of_runs(change: dict[str, object], status: Status, words: str) -> None:
    check = one(replace(GOOD, **change))  # type: ignore[arg-type]
    assert check.status is status
    assert words in check.seen


@pytest.mark.parametrize(("code", "flag"), [("runs", "--run-dir"), ("store", "--store")])
def test_a_remedy_names_the_option(code: str, flag: str) -> None:
    for change in (
        {"refused": REFUSED},
        {"kind": "nfs"},
        {"kind": "tmpfs"},
        {"free": 1},
        {"unlockable": "no"},
    ):
        assert flag in one(replace(GOOD, code=code, **change)).remedy


def test_the_folder_for_temporary_files_may_be_in_memory_and_may_not_be_missing() -> None:
    place = replace(GOOD, code="temporary", path=Path("/tmp"), there=Path("/tmp"), kind="tmpfs")
    assert [check.status for check in judge_temporary(place)] == [OK]
    assert [check.status for check in judge_temporary(replace(place, options=frozenset({"noexec"})))] == [
        NOTE
    ]
    assert [check.status for check in judge_temporary(None)] == [FAILURE]
    (full,) = judge_temporary(replace(place, free=100))
    assert (full.status, full.remedy) == (WARNING, "make room, or name another one in TMPDIR")


def test_shared_memory_that_is_missing_costs_process_pools() -> None:
    shared = Path("/dev/shm")
    place = replace(GOOD, code="shared-memory", path=shared, there=shared, kind="tmpfs")
    assert [check.status for check in judge_shared(place)] == [OK]
    assert [check.status for check in judge_shared(replace(place, there=Path("/dev")))] == [WARNING]
    assert [check.status for check in judge_shared(replace(place, refused=REFUSED))] == [WARNING]


def test_what_a_run_needs_is_what_a_run_asks_for() -> None:
    just, short = (replace(GOOD, free=NEEDED_BYTES - less) for less in (0, 1))
    assert (one(just).status, one(short).status) == (NOTE, FAILURE)


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    seen = look("runs", tmp_path / "not" / "there")
    assert (seen.there, seen.refused, seen.unlockable) == (tmp_path, None, "")
    assert seen.synced is not None
    assert seen.free
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file_says_why(tmp_path: Path) -> None:
    place = Path("/proc/self")  # also root cannot make a file there
    seen = look("runs", place / "runs")
    assert seen.refused is not None
    assert one(seen).status is FAILURE


def test_a_line_of_mountinfo() -> None:
    line = r"36 35 98:0 /mnt1 /a\040b rw,noatime,noexec master:1 - ext3 /dev/root rw,errors=continue"
    assert parsed(line) == (Path("/a b"), "ext3", frozenset({"rw", "noatime", "noexec"}))
    assert parsed("36 35 98:0 / /ro rw - nfs4 server:/x ro,vers=4") == (
        Path("/ro"), "nfs4", frozenset({"rw", "ro"}),
    )  # fmt: skip
    for odd in ("", "36 35 98:0 / /x rw", "36 35 - ext4 x rw"):
        assert parsed(odd) is None


def test_the_deepest_mount_counts_and_of_two_the_later(tmp_path: Path) -> None:
    inner = tmp_path / "scratch" / "me"
    inner.mkdir(parents=True)
    mounts = [
        (Path("/"), "ext4", frozenset({"rw"})),
        (tmp_path / "scratch", "nfs", frozenset({"rw"})),
        (tmp_path / "scratch", "lustre", frozenset({"rw", "noexec"})),
        (tmp_path / "scr", "xfs", frozenset({"rw"})),
    ]
    assert mount_of(inner, mounts) == ("lustre", frozenset({"rw", "noexec"}))
    assert mount_of(tmp_path, mounts) == ("ext4", frozenset({"rw"}))
    assert mount_of(tmp_path, []) == ("", frozenset())
