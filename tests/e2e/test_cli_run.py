"""`evalrunner` from the first command to the last: a real evaluation on the local backend, and its exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalrunner.connect.embedded import Embedded
from evalrunner.exit_codes import ExitCode
from tests.support.cli import done as inside

TARGET = """
import os

def double(inputs):
    return {"m": 2 * inputs["n"]}

def odd_raises(inputs):
    if inputs["n"] % 2:
        raise ValueError("odd \\x1b]0;title\\x07")
    return double(inputs)

def waits(inputs):
    if not os.path.exists("go"):
        os.write(os.open("started", os.O_RDWR), b"x")
        os.read(os.open("go-on", os.O_RDWR), 1)
    return double(inputs)

def right(outputs, reference_outputs):
    return {"key": "right", "score": outputs == reference_outputs}
"""


def environment(folder: Path) -> dict[str, str]:
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("LANGSMITH_", "LANGCHAIN_", "EVALRUNNER_"))
    }
    return {**kept, "HOME": str(folder)}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evalrunner", *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture
def cold(tmp_path: Path) -> Path:
    """A folder with a dataset, whose every command starts the local backend and leaves it to itself."""
    (tmp_path / "subject.py").write_text(TARGET)
    (tmp_path / "evalrunner.toml").write_text(
        'target = "subject.py:double"\nevaluators = ["subject.py:right"]\nworkers = 2\n'
    )
    rows = [{"inputs": {"n": n}, "outputs": {"m": 2 * n}} for n in range(6)]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    pushed = inside(tmp_path, "dataset", "push", "rows.jsonl", "--name", "doubles")
    assert pushed.returncode == 0, pushed.stderr
    return tmp_path


@pytest.fixture
def folder(cold: Path) -> Iterator[Path]:
    """The same with the local backend up for the whole test, so that no command waits for it."""
    with Embedded(cold / ".evalrunner" / "store.sqlite"):
        yield cold


def test_a_run_its_receipt_and_running_it_again(cold: Path) -> None:
    first = run(cold, "run", "--dataset", "doubles", "--json")
    assert first.returncode == ExitCode.COMPLETE, first.stderr
    receipt = json.loads(first.stdout)
    assert receipt["states"] == {"visible": 6}
    assert "using the local backend" in first.stderr
    again = run(cold, "--workers", "1", "--experiment", receipt["experiment"]["name"])
    assert again.returncode == ExitCode.COMPLETE
    assert "Nothing is missing" in again.stdout
    assert "again       evalrunner report" in again.stdout
    printed = run(cold, "report", receipt["experiment"]["name"])
    assert printed.stdout.splitlines()[0] == again.stdout.splitlines()[0]
    verdict = run(cold, "resume", "--quiet")
    assert (verdict.returncode, verdict.stderr) == (ExitCode.COMPLETE, "")
    assert verdict.stdout.count("\n") == 1


def test_items_that_raise(folder: Path) -> None:
    done = run(folder, "run", "--dataset", "doubles", "--target", "subject.py:odd_raises")
    assert done.returncode == ExitCode.FAILED
    assert "\x1b" not in done.stdout + done.stderr
    assert "\x07" not in done.stdout + done.stderr
    report = inside(folder, "report", "--json")
    assert report.returncode == ExitCode.COMPLETE
    assert sum(item["error"] is not None for item in json.loads(report.stdout)["items"]) == 3


def test_a_plan_runs_nothing(folder: Path) -> None:
    done = run(folder, "run", "--dataset", "doubles", "--plan", "--json")
    assert done.returncode == ExitCode.COMPLETE
    assert {item["state"] for item in json.loads(done.stdout)["items"]} == {"not run"}
    assert inside(folder, "report").returncode == ExitCode.USAGE


def test_what_cannot_be_run_is_one_sentence(folder: Path) -> None:
    for arguments, words in (
        (("--dataset", "double"), "no dataset 'double' at 127.0.0.1"),
        (("--dataset", "double"), "did you mean 'doubles'?"),
        (("--experiment", "doubles"), "a dataset has this name: say --dataset"),
        (("--dataset", "doubles", "--target", "subject.py:nope"), "'nope'"),
        (("--dataset", "doubles", "--target", "none.py:f"), "none.py"),
    ):
        done = inside(folder, *arguments, "--quiet")
        assert done.returncode == ExitCode.USAGE
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert words in done.stderr


def test_ctrl_c_is_resumable(folder: Path) -> None:
    with pipe(folder / "started") as started, pipe(folder / "go-on") as go_on:
        arguments = [
            "run",
            "--dataset",
            "doubles",
            "--target",
            "subject.py:waits",
            "--workers",
            "1",
            "--quiet",
        ]
        with started_process(folder, *arguments) as process:
            assert select.select([started], [], [], 30)[0], "an item is executing"
            (folder / "go").touch()
            os.killpg(process.pid, signal.SIGINT)
            os.write(go_on, b"x")
            assert process.wait(timeout=60) == ExitCode.INTERRUPTED
    resumed = run(folder, "resume", "--json")
    assert resumed.returncode == ExitCode.COMPLETE, resumed.stderr
    states = json.loads(resumed.stdout)["states"]
    assert set(states) <= {"visible", "already complete"}
    assert sum(states.values()) == 6


def test_resume_finds_the_modules_of_a_folder_below(folder: Path) -> None:
    below = folder / "below"
    below.mkdir()
    (folder / "subject.py").rename(below / "subject_below.py")
    code = ("--target", "subject_below:double", "--evaluator", "subject_below:right")
    (folder / "evalrunner.toml").write_text("workers = 2\n")
    first = run(below, "run", "--dataset", "doubles", *code, "--quiet")
    assert first.returncode == ExitCode.COMPLETE, first.stderr
    again = run(folder, "resume", "--json", "--repetitions", "2")
    assert again.returncode == ExitCode.COMPLETE, again.stderr
    assert json.loads(again.stdout)["states"] == {"already complete": 6, "visible": 6}


def test_resume_remembers_what_was_evaluated_and_passes_over_runs_that_never_began(folder: Path) -> None:
    first = run(folder, "run", "--dataset", "doubles", "--target", "subject.py:double", "--quiet")
    assert first.returncode == ExitCode.COMPLETE, first.stderr
    (folder / "evalrunner.toml").unlink()
    (folder / ".evalrunner" / "runs" / "00000000-0000-0000-0000-000000000000" / "logs").mkdir(parents=True)
    again = run(folder, "resume", "--json", "--repetitions", "2")
    assert again.returncode == ExitCode.COMPLETE, again.stderr
    assert json.loads(again.stdout)["plan"] == {
        "examples": 6,
        "repetitions": 2,
        "items": 12,
        "already_complete": 6,
        "to_run": 6,
        "to_score": 0,
    }


@contextlib.contextmanager
def pipe(path: Path) -> Iterator[int]:
    """Make a named pipe and hold it open at both ends, so that nobody blocks in opening it."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def started_process(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "evalrunner", *arguments],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_process_that_workers_come_from_starts_before_the_sdk_is_imported(tmp_path: Path) -> None:
    """Each of the two imports it for a second; one after the other would cost both."""
    script = """
import sys
from multiprocess import forkserver
from evalrunner.cli import main
from evalrunner.cli.settings import endpoint

def opened(*_, **__):
    print("server", forkserver._forkserver._forkserver_pid is not None, "sdk", "langsmith" in sys.modules)
    sys.stdout.flush()
    raise SystemExit(0)

endpoint.opened = opened
sys.argv = ["evalrunner", "run", "--dataset", "any", "--target", "any:name", *sys.argv[1:]]
main.main()
"""
    for more, told in (((), "server True sdk False"), (("--plan",), "server False sdk False")):
        done = subprocess.run(
            [sys.executable, "-c", script, *more], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert told in done.stdout, done.stdout + done.stderr
