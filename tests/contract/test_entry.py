"""A Ctrl-C before a command has begun ends it as one that comes later: one line, and its exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalrunner.cli.main import DefaultRun
from evalrunner.exit_codes import ExitCode
from tests.support.cli import in_process

#: Somebody presses Ctrl-C while a module of the command line is being loaded.
LOADING = """
import sys

class Interrupted:
    def find_spec(self, name, *_):
        if name == "evalrunner.cli.streams":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
sys.argv = ["evalrunner", "config"]
from evalrunner.__main__ import main
main()
"""


def test_while_its_modules_are_being_loaded(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADING],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.INTERRUPTED, "", "error: interrupted\n")


def test_while_its_words_are_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(DefaultRun, "parse_args", interrupted)
    done = in_process("config", cwd=tmp_path)
    assert (done.code, done.out, done.err.strip()) == (ExitCode.INTERRUPTED, "", "error: interrupted")
