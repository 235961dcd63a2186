"""The board: what a worker executes is known after its death, and idle lanes accuse nobody."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalrunner.delivery.inflight import InFlight, read


def test_lanes_are_set_and_cleared(tmp_path: Path) -> None:
    path = tmp_path / "board"
    board = InFlight(path, 3)
    assert read(path) == {}
    board.set(0, 0)
    board.set(2, 41)
    assert list(read(path)) == [0, 41]
    board.set(2, 2**40)
    assert list(read(path)) == [0, 2**40]
    board.clear(0)
    assert list(read(path)) == [2**40]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_sigkill_cannot_take_a_note_back(tmp_path: Path) -> None:
    path = tmp_path / "board"
    code = (
        "import os, sys; from pathlib import Path; from evalrunner.delivery.inflight import InFlight\n"
        "board = InFlight(Path(sys.argv[1]), 2); board.set(0, 7); board.set(1, 8); board.clear(0)\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert list(read(path)) == [8]


def test_a_worker_that_died_before_it_had_a_board_accuses_nobody(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == {}
    (tmp_path / "empty").touch()
    assert read(tmp_path / "empty") == {}
    (tmp_path / "torn").write_bytes(b"\x05" + bytes(15) + b"\x09\x00")
    assert list(read(tmp_path / "torn")) == [4]


def test_it_says_when_an_item_began_by_the_clock_of_every_process(tmp_path: Path) -> None:
    before = time.monotonic()
    board = InFlight(tmp_path / "board", 2)
    board.set(1, 5)
    assert before <= read(tmp_path / "board")[5] <= time.monotonic()
    board.clear(1)
    board.set(1, 6)
    assert list(read(tmp_path / "board")) == [6]


def test_a_board_is_one_workers_own(tmp_path: Path) -> None:
    InFlight(tmp_path / "board", 1)
    with pytest.raises(FileExistsError):
        InFlight(tmp_path / "board", 1)
