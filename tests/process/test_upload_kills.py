"""The command killed while it uploads: the next one goes on, and every run is there once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.recorded import Recorder, write_array
from tests.support.rig import Backend, Command, backend_in, evalrunner, wait_until

RUNS = "POST /runs/multipart"
UNANSWERED = 600.0  # seconds, longer than any wait of these tests


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with backend_in(tmp_path_factory.mktemp("backend")) as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    path = tmp_path_factory.mktemp("input") / "t.json"
    return path, write_array(path, Recorder(1, size=40_000).traces(1500))


@pytest.fixture(autouse=True)
def undisturbed(backend: Backend) -> Iterator[None]:
    yield
    backend.faults()


def there(backend: Backend, project: str) -> int:
    if not backend.client.has_project(project):
        return 0
    return len(backend.truth(str(backend.client.read_project(project_name=project).id))["runs"])


def more_than(before: int, backend: Backend, project: str) -> None:
    """Wait until something new is there."""
    wait_until(lambda: there(backend, project) > before, 120, "something new")


@pytest.mark.parametrize(("number", "times"), [(signal.SIGKILL, 3), (signal.SIGINT, 1)])
def test_what_was_cut_off_goes_on_and_nothing_is_there_twice(
    backend: Backend, file: tuple[Path, int], tmp_path: Path, number: signal.Signals, times: int
) -> None:
    path, runs = file
    project = f"killed by {number.name}"
    words = ["upload", str(path), "--project", project, "--json"]
    for _ in range(times):
        before = there(backend, project)
        # Met in the middle, however slow the machine: what is sent is kept, and no answer comes before the kill.
        backend.faults({"match": RUNS, "action": "delay", "seconds": UNANSWERED})
        command = Command(words, cwd=tmp_path, env=backend.environment())
        more_than(before, backend, project)
        os.killpg(command.pid, number)
        done = command.finish()
        assert done.code == (-9 if number is signal.SIGKILL else 4), done.err
    assert there(backend, project) < runs
    backend.faults()
    done = evalrunner(*words, "--verify", "content", cwd=tmp_path, env=backend.environment())
    assert done.code == 0, done.err
    assert there(backend, project) == runs
    assert done.receipt["confirmed"] == done.receipt["total"]["traces"]
    assert 0 < done.receipt["already"] < done.receipt["total"]["traces"]
    assert done.receipt["different"] == []


def test_two_at_once_from_two_folders_make_every_run_once(
    backend: Backend, file: tuple[Path, int], tmp_path: Path
) -> None:
    path, runs = file
    words = ["upload", str(path), "--project", "twice at once", "--json"]
    both = [Command(words, cwd=tmp_path / name, env=backend.environment()) for name in ("one", "two")]
    codes = [command.finish().code for command in both]
    # The one that comes second, before the first has fixed how times move, is told to run again.
    assert 0 in codes
    assert set(codes) <= {0, 2}
    done = evalrunner(*words, "--verify", "content", cwd=tmp_path / "two", env=backend.environment())
    assert (done.code, there(backend, "twice at once")) == (0, runs)


def test_two_at_once_from_one_folder_are_told_apart(
    backend: Backend, file: tuple[Path, int], tmp_path: Path
) -> None:
    path, _ = file
    words = ["upload", str(path), "--project", "twice here"]
    backend.faults({"match": RUNS, "action": "delay", "seconds": 5})
    first = Command(words, cwd=tmp_path, env=backend.environment())
    wait_until(lambda: there(backend, "twice here"), 120)
    os.killpg(first.pid, signal.SIGSTOP)  # it is running for as long as the second one needs
    backend.faults()
    try:
        second = evalrunner(*words, cwd=tmp_path, env=backend.environment())
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert (second.code, first.finish().code) == (2, 0)
    assert "another upload of this input into this project is running" in second.err


@pytest.mark.parametrize("newer", [False, True])
def test_the_end_of_what_was_uploaded_open_follows_once_through_kills(
    backend: Backend, tmp_path: Path, newer: bool
) -> None:
    path, project = tmp_path / "t.json", f"ends, {newer}"
    traces = list(Recorder(2, size=40_000).traces(1000))
    runs = sum(map(len, traces))
    opened = [{**trace[0], "end_time": None, "outputs": None, "error": None} for trace in traces[::2]]
    backend.flags(ch_query_enabled=not newer, sdb_query_enabled=newer)
    words = ["upload", str(path), "--project", project, "--json"]
    try:
        # Half of the traces as they were while they ran: their roots alone, without an end.
        path.write_text(json.dumps(opened))
        assert evalrunner(*words, cwd=tmp_path, env=backend.environment()).code == 0
        path.write_text(json.dumps([run for trace in traces for run in trace]))
        for _ in range(2):
            backend.faults({"match": RUNS, "action": "delay", "seconds": UNANSWERED})
            command = Command(words, cwd=tmp_path, env=backend.environment())
            wait_until(lambda: backend.fault_report()["rules"][0]["fired"], 120, "a request")
            os.killpg(command.pid, signal.SIGKILL)
            command.finish()
            backend.faults()
        done = evalrunner(*words, "--verify", "content", cwd=tmp_path, env=backend.environment())
        assert (done.code, there(backend, project)) == (0, runs), done.err
        again = evalrunner(*words, cwd=tmp_path, env=backend.environment())
        assert (again.receipt["already"], again.receipt["sent"]["runs"]) == (len(traces), 0)
    finally:
        backend.flags(ch_query_enabled=True, sdb_query_enabled=False)
