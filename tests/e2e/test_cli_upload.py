"""`evalrunner upload` as a user types it: with nothing configured, with mistakes, from a pipe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.recorded import Recorder, write_lines
from tests.support.rig import clean_environment, evalrunner

MISTAKES = {
    "upload": "nothing to upload: name files or folders, - for stdin, or --replay DIR",
    "upload t.jsonl": "--project NAME is missing: where the traces go",
    "upload gone.jsonl --project p": "gone.jsonl is not there",
    "upload t.jsonl --project p --shift soon": "--shift takes now, trace, none, or how far",
    "upload other.json --project p": "found an object with the keys role; nothing was sent",
    "upload t.jsonl --project p --failed t.jsonl": "--failed t.jsonl is one of the inputs",
    "upload --replay . --project p": "--replay takes neither files nor --project",
    "upload --replay . --dry-run": "--dry-run does not go with it",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lines(tmp_path / "t.jsonl", Recorder(1, size=500).traces(20))
    (tmp_path / "other.json").write_text('{"role": "user"}')
    return tmp_path


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_sentence(folder: Path, words: str) -> None:
    done = evalrunner(*words.split(), cwd=folder, env=clean_environment())
    assert done.code == 2, done.err
    assert MISTAKES[words] in done.err
    assert done.err.count("error: ") == 1
    assert "Traceback" not in done.err


def test_with_nothing_configured_it_goes_to_the_local_backend_once(folder: Path) -> None:
    words = ["upload", "t.jsonl", "--project", "mine"]
    first = evalrunner(*words, cwd=folder, env=clean_environment())
    again = evalrunner(*words, "--json", cwd=folder, env=clean_environment())
    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert "all read back by id" in first.out.replace(" traces", "").replace(
        f"all {again.receipt['total']['traces']}", "all"
    )
    assert (again.receipt["sent"]["runs"], again.receipt["already"]) == (0, again.receipt["total"]["traces"])
    # The backend has another port each time: the same input has one folder all the same.
    assert len(list((folder / ".evalrunner" / "upload").iterdir())) == 1


def test_what_comes_from_a_pipe_is_the_same_input(folder: Path) -> None:
    evalrunner("upload", "t.jsonl", "--project", "mine", cwd=folder, env=clean_environment())
    done = subprocess.run(
        [sys.executable, "-m", "evalrunner", "upload", "-", "--project", "mine"],
        cwd=folder,
        env=clean_environment(),
        input=(folder / "t.jsonl").read_bytes(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"sent now: 0 traces" in done.stdout
