"""The forkserver's socket, where TMPDIR is too long for one, cannot be written, or takes none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalrunner.engines.local import LocalEngine

CODE = """
import os, sys, tempfile
from multiprocess import util
from evalrunner.engines.local import LocalEngine
engine = LocalEngine("forkserver")
engine.warm_up()
folder = util.get_temp_dir()
print(engine.method, oct(os.stat(folder).st_mode & 0o777), folder, tempfile.gettempdir())
"""


def told(**environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("length", [20, 76, 77, 108, 200])
def test_a_long_tmpdir_is_left_alone_and_the_socket_lies_in_a_private_folder(
    tmp_path: Path, length: int
) -> None:
    folder = tmp_path / ("t" * max(1, length - len(str(tmp_path)) - 1))
    folder.mkdir()
    method, mode, place, usual = told(TMPDIR=str(folder))
    assert (method, mode, usual) == ("forkserver", "0o700", str(folder))
    assert len(place) < 108 - len("/listener-12345678")
    assert not Path(place).exists(), "it is removed in the end"
    assert list(folder.iterdir()) == []


def test_a_tmpdir_that_is_not_there_or_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("nowhere", "file"):
        assert told(TMPDIR=str(tmp_path / place))[0] == "forkserver"


def test_where_no_socket_can_be_made_workers_are_spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalrunner.engines.room._places", lambda: iter(["/proc", "/nowhere"]))
    assert LocalEngine("forkserver").method == "spawn"
