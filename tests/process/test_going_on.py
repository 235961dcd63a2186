"""What was executed is never executed again because it could not be sent: it lies in a spool until it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evalrunner.delivery.spool.writer import read
from tests.support.rig import (
    Backend,
    Command,
    ExecutionLog,
    alive,
    backend_in,
    read_experiment,
    wait_until,
)

TARGETS = Path(__file__).resolve().parent / "targets"
Start = Callable[..., Command]
COUNT = 30
RUNS = "POST /runs/multipart"


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    """A backend of this test's own, to be broken."""
    with backend_in(tmp_path) as one:
        yield one


def spooled(folder: Path) -> int:
    """Return how many finished items lie in spools."""
    files = [read(path) for path in (folder / "run" / "spool").glob("*.spool")]
    return len({entry.header.item for file in files for entry in file.entries} - {None})


def test_the_service_is_away_and_then_the_supervisor_dies(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment = backend.experiment(backend.dataset(COUNT))
    gate = tmp_path / "gate"
    command = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate))
    log.reach(7, command=command)
    backend.stop()
    gate.touch()
    # The workers go on without the service, to their last item.
    wait_until(lambda: spooled(tmp_path) == COUNT, what="the last item")
    everybody = command.descendants()
    command.kill()
    wait_until(lambda: not any(map(alive, everybody)))
    backend.start()
    assert read_experiment(backend.client, experiment).lost() > 0

    again = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate)).finish()
    assert again.code == 0, again.err
    assert "sending on" in again.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    assert set(log.counts().values()) == {1}, "nothing was executed twice"
    assert again.receipt["executions"] == 0
    assert list((tmp_path / "run" / "spool").glob("*.spool")) == [], "what is visible is not kept"


def test_the_service_stays_away_until_the_deadline(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment = backend.experiment(backend.dataset(COUNT))
    gate = tmp_path / "gate"
    patience = ("--delivery-deadline", "1", "--visible-deadline", "1")
    command = start("deadly.py:waits", experiment, "--workers", "2", *patience, GATE=str(gate))
    log.reach(7, command=command)
    backend.faults({"match": "POST /runs/multipart", "action": "status", "status": 503})
    gate.touch()
    done = command.finish()
    assert done.code == 3, done.err
    assert "Traceback" not in done.err
    seen = read_experiment(backend.client, experiment)
    open_ = [item for item in done.receipt["items"] if item["state"] == "not delivered"]
    assert len(open_) == seen.lost() > 0
    there = {str(root.reference_example_id) for root in seen.roots}
    assert {item["example_id"] for item in open_} == {str(one) for one in seen.examples} - there
    assert all("503" in item["reason"] for item in open_), open_[0]
    assert experiment in done.receipt["command"]

    backend.faults()
    again = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate)).finish()
    assert (again.code, again.receipt["executions"]) == (0, 0), again.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    assert set(log.counts().values()) == {1}, "nothing was executed twice"


def test_the_service_refuses_one_item_for_good(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment = backend.experiment(backend.dataset(6))
    gate = tmp_path / "gate"
    command = start("deadly.py:waits", experiment, "--workers", "1", GATE=str(gate))
    log.reach(6, command=command)
    wait_until(lambda: len(read_experiment(backend.client, experiment).roots) == 5, what="the first five")
    backend.faults({"match": "POST /runs/multipart", "action": "status", "status": 422})
    gate.touch()
    done = command.finish()
    assert done.code == 3, done.err
    (refused,) = [item for item in done.receipt["items"] if item["state"] == "not delivered"]
    assert "422" in refused["reason"]
    assert read_experiment(backend.client, experiment).lost() == 1
    backend.faults()
    again = start("deadly.py:waits", experiment, "--workers", "1", GATE=str(gate)).finish()
    assert again.code == 0, again.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])


def test_the_service_fails_at_one_item_for_ever(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    dataset = backend.dataset(40)
    experiment = backend.experiment(dataset)
    poison = str(list(backend.client.list_examples(dataset_id=dataset.id))[7].id)
    backend.faults({"match": RUNS, "action": "status", "status": 500, "carries": poison})
    gate = tmp_path / "gate"
    gate.touch()
    options = ("--workers", "1", "--delivery-deadline", "12")
    command = start("deadly.py:waits", experiment, *options, GATE=str(gate))
    wait_until(lambda: len(read_experiment(backend.client, experiment).roots) == 39, what="the other 39")
    assert command.process.poll() is None, "they did not wait for the deadline"
    done = command.finish()
    assert done.code == 3, done.err
    (left,) = [item for item in done.receipt["items"] if item["state"] != "visible"]
    assert (left["state"], left["example_id"]) == ("not delivered", poison)
    assert "server answers 500" in left["reason"]

    backend.faults()
    again = start("deadly.py:waits", experiment, *options, GATE=str(gate)).finish()
    assert (again.code, again.receipt["executions"]) == (0, 0), again.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    assert set(log.counts().values()) == {1}, "nothing was executed twice"


def test_a_service_that_never_answers_is_left_at_the_deadline(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment = backend.experiment(backend.dataset(6))
    gate = tmp_path / "gate"
    patience = ("--delivery-deadline", "2", "--visible-deadline", "1")
    command = start("deadly.py:waits", experiment, "--workers", "1", *patience, GATE=str(gate))
    log.reach(6, command=command)
    backend.faults({"match": RUNS, "action": "stall", "seconds": 600})
    gate.touch()
    done = command.finish(timeout=85)  # an unbounded request lasts 30 s, and there are three in a row
    assert done.code == 3, done.err
    left = [item for item in done.receipt["items"] if item["state"] == "not delivered"]
    assert left
    assert all("not delivered within 2 s: no answer" in item["reason"] for item in left), left


def test_resume_finds_the_last_run_by_itself(backend: Backend, tmp_path: Path, log: ExecutionLog) -> None:
    dataset = backend.dataset(12)
    gate = tmp_path / "gate"
    env = backend.environment(CHAOS_LOG=str(log.path), GATE=str(gate))
    what = ["--target", f"{TARGETS}/deadly.py:waits", "--workers", "2"]
    command = Command(["--dataset", str(dataset.name), *what], cwd=tmp_path, env=env)
    log.reach(7, command=command)
    everybody = command.descendants()
    command.kill()
    wait_until(lambda: not any(map(alive, everybody)))
    gate.touch()
    done = Command(["resume", "--json", *what], cwd=tmp_path, env=env).finish()
    assert done.code == 0, done.err
    (project,) = backend.client.list_projects(reference_dataset_id=dataset.id)
    seen = read_experiment(backend.client, str(project.name))
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    assert sum(count - 1 for count in log.counts().values()) <= 2
