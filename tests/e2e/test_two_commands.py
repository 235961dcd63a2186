"""Two commands over one experiment: the second is told, waits, or goes on in place of one that is dead."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from langsmith import evaluate
from langsmith.schemas import TracerSession

import evalrunner
from evalrunner.errors import ExperimentBusy
from evalrunner.exit_codes import ExitCode
from evalrunner.supervisor.setup.owner import CLAIM, Owner
from tests.support.rig import Backend, Command, ExecutionLog, Finished, assert_whole, backend_in, wait_until

TARGETS = Path(__file__).resolve().parent / "targets"

WHAT = (
    "--target",
    f"{TARGETS}/gated.py:target",
    "--evaluator",
    f"{TARGETS}/judges.py:right",
    "--workers",
    "2",
)


@pytest.fixture
def name(backend: Backend) -> str:
    """An experiment over six examples."""
    return backend.experiment(backend.dataset(6))


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """What lets every target go on, once it is there."""
    return tmp_path / "gate"


@pytest.fixture
def start(
    backend: Backend, log: ExecutionLog, name: str, gate: Path, tmp_path: Path
) -> Iterator[Callable[..., Command]]:
    """Start a command with a run folder of this name."""
    commands: list[Command] = []

    def run(folder: str, *options: str) -> Command:
        words = ["--experiment", name, "--run-dir", str(tmp_path / folder), "--json", *WHAT, *options]
        env = backend.environment(EXECUTIONS=str(log.path), GATE=str(gate))
        commands.append(Command(words, cwd=tmp_path, env=env))
        return commands[-1]

    yield run
    for one in commands:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def first(start: Callable[..., Command], log: ExecutionLog) -> Command:
    """A command that is in the middle of its first two items."""
    one = start("first")
    assert log.reach(2, command=one)
    return one


def owner(backend: Backend, name: str) -> Owner | None:
    return Owner.found_in(backend.client.read_project(project_name=name).metadata or {})


def write(backend: Backend, name: str, one: Owner) -> TracerSession:
    project = backend.client.read_project(project_name=name)
    metadata: dict[str, Any] = {**(project.metadata or {}), CLAIM: one.to_json()}
    return backend.client.update_project(project.id, metadata=metadata)


def elsewhere(silent: float) -> Owner:
    """One of another machine that was last heard of so many seconds ago."""
    seen = datetime.now(timezone.utc) - timedelta(seconds=silent)
    one = Owner.myself(Path("/runs/1"), seen - timedelta(hours=1), {})
    return replace(one, host="node7", pid=77, kernel="another", seen=seen.isoformat())


def test_the_second_is_told_who_runs_it_and_executes_nothing(
    backend: Backend,
    command: Callable[..., Finished],
    first: Command,
    start: Callable[..., Command],
    log: ExecutionLog,
    name: str,
    gate: Path,
) -> None:
    claimed = owner(backend, name)
    assert claimed is not None
    assert (claimed.pid, Path(claimed.folder).name) == (first.pid, "first")
    for options in (("second",), ("second", "--take-over"), ("first",)):
        done = start(*options).finish()
        assert (done.code, done.receipt["exit_code"]) == (ExitCode.BUSY, 75), done.err
        assert f"another evalrunner is running the experiment '{name}' (pid {first.pid} on" in done.err
        assert "--wait waits for its end" in done.err
    with pytest.raises(ExperimentBusy, match=rf"\(pid {first.pid} on .*; wait=True waits for its end"):
        evalrunner.run(
            "gated:target", experiment=name, endpoint=backend.endpoint, run_dir=gate.parent / "here"
        )
    repaired = command("repair", name, *WHAT, "--yes", "--recent", "0")
    assert repaired.code == ExitCode.BUSY, repaired.err
    gate.touch()
    done = first.finish()
    assert done.code == ExitCode.COMPLETE, done.err
    assert set(log.counts().values()) == {1}
    project = assert_whole(backend.client, name, keys=["right"]).project
    assert CLAIM not in (project.metadata or {})


def test_the_second_waits_and_then_finds_nothing_to_do(
    backend: Backend, first: Command, start: Callable[..., Command], name: str, gate: Path
) -> None:
    waits = start("second", "--wait")
    wait_until(lambda: "waiting for another evalrunner" in waits.said(), what="the word that it waits")
    gate.touch()
    assert first.finish().code == ExitCode.COMPLETE
    done = waits.finish()
    assert (done.code, done.receipt["executions"]) == (ExitCode.COMPLETE, 0), done.err
    assert_whole(backend.client, name, keys=["right"])


@pytest.mark.parametrize("lag", [0.0, 0.4])
def test_of_two_that_begin_at_the_same_moment_one_executes(
    backend: Backend, start: Callable[..., Command], log: ExecutionLog, name: str, gate: Path, lag: float
) -> None:
    gate.touch()
    one = start("first")
    threading.Event().wait(lag)
    ends = sorted(each.finish().code for each in (one, start("second")))
    assert ends in ([ExitCode.COMPLETE, ExitCode.BUSY], [ExitCode.COMPLETE] * 2)
    assert set(log.counts().values()) == {1}
    assert_whole(backend.client, name, keys=["right"])


def test_one_that_was_killed_on_this_machine_keeps_nobody_out(
    backend: Backend, first: Command, start: Callable[..., Command], name: str, gate: Path
) -> None:
    first.kill()
    gate.touch()
    done = start("second").finish()
    assert done.code == ExitCode.COMPLETE, done.err
    assert_whole(backend.client, name, keys=["right"])


def test_one_of_another_machine_keeps_others_out_until_it_is_silent(
    backend: Backend, start: Callable[..., Command], log: ExecutionLog, name: str, gate: Path
) -> None:
    gate.touch()
    write(backend, name, elsewhere(silent=20))
    done = start("second", "--take-over").finish()
    assert done.code == ExitCode.BUSY, done.err
    assert "pid 77 on node7" in done.err
    write(backend, name, elsewhere(silent=200))
    done = start("second").finish()
    assert done.code == ExitCode.BUSY, done.err
    assert "it seems to be dead: --take-over goes on in its place" in done.err
    assert log.lines() == []
    for option in ("--take-over", "--wait"):
        write(backend, name, elsewhere(silent=200))
        done = start("second", option).finish()
        assert done.code == ExitCode.COMPLETE, done.err
        assert "going on in place of the evalrunner that has fallen silent (pid 77 on node7" in done.err
        assert owner(backend, name) is None
    assert set(log.counts().values()) == {1}


def test_a_repair_takes_over_as_a_run_does(
    backend: Backend, command: Callable[..., Finished], log: ExecutionLog, name: str, gate: Path
) -> None:
    gate.touch()
    mend = ("repair", name, *WHAT, "--yes", "--recent", "0")
    write(backend, name, elsewhere(silent=200))
    done = command(*mend, GATE=str(gate))
    assert done.code == ExitCode.BUSY, done.err
    assert log.lines() == []
    done = command(*mend, "--take-over", GATE=str(gate))
    assert done.code == ExitCode.COMPLETE, done.err
    assert set(log.counts().values()) == {1}
    assert owner(backend, name) is None
    assert_whole(backend.client, name, keys=["right"])


def test_one_that_was_taken_for_dead_stops_and_repeats_nothing(
    backend: Backend, first: Command, start: Callable[..., Command], name: str, gate: Path
) -> None:
    """As if it had been suspended for long: the other has gone on, and it wakes up."""
    write(backend, name, elsewhere(silent=0))
    done = first.finish()
    assert done.code == ExitCode.BUSY, done.err
    assert "another evalrunner has taken the experiment over (pid 77 on node7" in done.err
    assert done.receipt["verdict"].startswith("Stopped: 0 of 6 items are visible; 6 not run.")
    assert [one["code"] for one in done.receipt["findings"]] == ["taken-over"]
    found = owner(backend, name)
    assert found is not None
    assert found.pid == 77, "what is the other's stays"
    write(backend, name, elsewhere(silent=200))
    gate.touch()
    done = start("second", "--take-over").finish()
    assert done.code == ExitCode.COMPLETE, done.err
    assert_whole(backend.client, name, keys=["right"])


def plainly(backend: Backend, name: str) -> None:
    """Evaluate it whole with the SDK, which adds a run to every example."""
    dataset = backend.client.read_project(project_name=name).reference_dataset_id
    data = list(backend.client.list_examples(dataset_id=dataset))
    project = backend.client.read_project(project_name=name)
    list(
        evaluate(
            lambda inputs: {"sum": inputs["i"] + 1}, data=data, experiment=project, client=backend.client
        )
    )


def test_more_runs_than_planned_are_no_success_until_they_are_gone(
    backend: Backend, start: Callable[..., Command], command: Callable[..., Finished], name: str, gate: Path
) -> None:
    gate.touch()
    assert start("first").finish().code == ExitCode.COMPLETE
    plainly(backend, name)
    done = start("first").finish()
    assert (done.code, done.receipt["complete"]) == (ExitCode.INCOMPLETE, False), done.err
    assert "6 complete runs more than planned stand beside them" in done.receipt["verdict"]
    mend = shlex.split(done.receipt["command"])
    assert mend == ["evalrunner", "repair", name, "--delete-duplicates"]
    repaired = command(*mend[1:], "--yes")
    assert repaired.code == ExitCode.COMPLETE, repaired.err
    done = start("first").finish()
    assert (done.code, done.receipt["executions"]) == (ExitCode.COMPLETE, 0), done.err


def test_repetitions_that_this_command_does_not_ask_for_are_none_too_many(
    start: Callable[..., Command], gate: Path
) -> None:
    gate.touch()
    done = start("first", "--repetitions", "2").finish()
    assert (done.code, done.receipt["executions"]) == (ExitCode.COMPLETE, 12), done.err
    done = start("first", "--repetitions", "1").finish()
    assert (done.code, done.receipt["executions"]) == (ExitCode.COMPLETE, 0), done.err
    assert done.receipt["duplicates"] == []


def test_a_service_that_takes_no_claim_keeps_no_run_from_starting(
    tmp_path: Path, log: ExecutionLog, gate: Path
) -> None:
    gate.touch()
    with backend_in(tmp_path / "own") as own:
        name = own.experiment(own.dataset(2))
        own.faults({"match": "PATCH /sessions*", "action": "status", "status": 403})
        env = own.environment(EXECUTIONS=str(log.path), GATE=str(gate))
        done = Command(["--experiment", name, "--json", *WHAT], cwd=tmp_path / "home", env=env).finish()
        assert done.code == ExitCode.COMPLETE, done.err
        codes = [one["code"] for one in done.receipt["findings"]]
        assert sorted(codes) == ["metadata-unwritten", "unclaimed"]
        told = "could not be claimed (LangSmith answers 403 to PATCH /sessions/"
        assert sum(told in one for one in done.receipt["warnings"]) == 1
        own.faults()
        again = Command(["--experiment", name, "--json", *WHAT], cwd=tmp_path / "home", env=env).finish()
        assert (again.code, again.receipt["executions"]) == (ExitCode.COMPLETE, 0), again.err
        assert_whole(own.client, name, keys=["right"])
