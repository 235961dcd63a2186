"""What somebody else does to the experiment, its dataset or its service while a run goes on."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from langsmith.schemas import Dataset

from tests.support.rig import (
    Backend,
    Command,
    ExecutionLog,
    Finished,
    assert_whole,
    backend_in,
    wait_until,
)

TARGETS = Path(__file__).resolve().parent / "targets"
WHAT = ("--target", f"{TARGETS}/gated.py:target", "--evaluator", f"{TARGETS}/judges.py:right")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A backend that may be told to misbehave."""
    with backend_in(tmp_path_factory.mktemp("backend")) as one:
        yield one


@dataclass
class Midway:
    """A run over six examples, two of which have been begun and go on when the gate is opened."""

    backend: Backend
    dataset: Dataset
    name: str
    command: Command
    log: ExecutionLog
    gate: Path

    def finish(self) -> Finished:
        """Let it go on, to its end."""
        self.gate.touch()
        return self.command.finish()

    def projects(self) -> set[str]:
        """Return the names of all projects."""
        return {str(project.name) for project in self.backend.client.list_projects()}


@pytest.fixture
def midway(backend: Backend, tmp_path: Path, log: ExecutionLog) -> Iterator[Midway]:
    """Start it, and wait until it is there."""
    dataset = backend.dataset(6)
    name, gate = backend.experiment(dataset), tmp_path / "gate"
    env = backend.environment(EXECUTIONS=str(log.path), GATE=str(gate))
    # A run that waited for what can never come back would outlive the test's patience.
    arguments = ["--experiment", name, "--workers", "2", "--visible-deadline", "3600", "--json", *WHAT]
    command = Command(arguments, cwd=tmp_path, env=env)
    try:
        log.reach(2, command=command)
        yield Midway(backend, dataset, name, command, log, gate)
    finally:
        if command.process.poll() is None:
            command.kill()


def test_an_experiment_that_is_renamed_keeps_all_its_runs(
    midway: Midway, command: Callable[..., Finished], tmp_path: Path
) -> None:
    client = midway.backend.client
    session = client.read_project(project_name=midway.name)
    client.update_project(session.id, name=f"{midway.name}-final")
    done = midway.finish()
    assert done.code == 0, done.err
    assert done.receipt["experiment"]["name"] == f"{midway.name}-final"
    told = f"the experiment '{midway.name}' was renamed to '{midway.name}-final' while the run went on"
    assert told in done.receipt["warnings"]
    assert midway.name not in midway.projects(), "no stray project"
    assert_whole(client, f"{midway.name}-final", keys=["right"])
    gate = {"GATE": str(midway.gate)}
    for again in (("resume",), ("resume", f"{midway.name}-final"), ("--experiment", str(session.id), *WHAT)):
        second = command(*again, "--json", **gate)
        assert (second.code, second.receipt["executions"]) == (0, 0), second.err


@pytest.mark.parametrize("what", ["experiment", "dataset"])
def test_an_experiment_that_is_deleted_ends_the_run_which_says_so(midway: Midway, what: str) -> None:
    client = midway.backend.client
    told = f"experiment '{midway.name}' was deleted while the run went on"
    if what == "experiment":
        client.delete_project(project_name=midway.name)
    else:
        client.delete_dataset(dataset_id=midway.dataset.id)  # takes its experiments along
        told = f"the dataset '{midway.dataset.name}' and with it the {told}"
    wait_until(lambda: told in midway.command.said(), timeout=60, what="the word about it")
    done = midway.finish()
    assert done.code == 3, done.err
    assert told in done.receipt["verdict"]
    assert len(midway.log.begun()) == 2, "what had begun is finished, nothing new is begun"
    states = [(item["state"], item["reason"]) for item in done.receipt["items"]]
    assert [state for state, _ in states].count("not run") == 4
    assert all("was deleted" in reason for _, reason in states), states
    assert done.receipt["books"]["visible"] == 0
    assert midway.name not in midway.projects(), "no stray project"


def test_a_deletion_in_the_last_moment_is_noticed_too(
    backend: Backend, command: Callable[..., Finished], log: ExecutionLog, tmp_path: Path
) -> None:
    """Everything came back, and then the target's tear-down deletes the experiment."""
    dataset = backend.dataset(2)
    name = backend.experiment(dataset)
    done = command(
        *("--experiment", name, "--workers", "1", "--json", "--target", f"{TARGETS}/vandal.py:Vandal"),
        **{"VICTIM": name},
    )
    assert done.code == 3, done.err
    assert f"experiment '{name}' was deleted" in done.receipt["verdict"]
    assert {item["state"] for item in done.receipt["items"]} == {"not visible"}


def test_an_example_that_is_deleted_is_evaluated_as_it_was(midway: Midway) -> None:
    examples = [*midway.backend.client.list_examples(dataset_id=midway.dataset.id)]
    midway.backend.client.delete_example(examples[-1].id)
    done = midway.finish()
    assert done.code == 0, done.err
    assert done.receipt["states"] == {"visible": 6}


def test_scores_that_cannot_be_read_are_the_items_reason_and_are_not_made_again(
    own: Backend, tmp_path: Path, log: ExecutionLog
) -> None:
    name = own.experiment(own.dataset(3))
    env = own.environment(EXECUTIONS=str(log.path))
    arguments = ["--experiment", name, "--workers", "1", "--visible-deadline", "2", "--json"]
    arguments += ["--target", f"{TARGETS}/kinds.py:sync", "--evaluator", f"{TARGETS}/judges.py:right"]
    own.faults({"match": "GET /feedback", "action": "status", "status": 500})
    done = Command(arguments, cwd=tmp_path, env=env).finish()
    own.faults()
    assert done.code == 3, done.err
    for item in done.receipt["items"]:
        assert item["state"] == "not visible"
        assert "cannot be read back: LangSmith answers 500 to GET /feedback" in item["reason"]
    again = Command(arguments, cwd=tmp_path, env=env).finish()
    assert (again.code, again.receipt["executions"]) == (0, 0), again.err
    assert len(log.begun()) == 3


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("SET body = 5", "LangSmith answers 500 to GET /feedback"),
        ("SET body = x'ff'", "LangSmith failed: Expecting value"),
    ],
)
def test_one_run_whose_scores_cannot_be_read_for_ever_holds_up_no_other(
    damage: str, told: str, tmp_path: Path, log: ExecutionLog
) -> None:
    with backend_in(tmp_path / "backend") as own:
        name = own.experiment(own.dataset(4))
        env = own.environment(EXECUTIONS=str(log.path))
        arguments = ["--experiment", name, "--workers", "1", "--visible-deadline", "1", "--json"]
        arguments += ["--target", f"{TARGETS}/kinds.py:sync", "--evaluator", f"{TARGETS}/judges.py:right"]
        first = Command([*arguments, "--limit", "3"], cwd=tmp_path, env=env).finish()
        assert first.code == 0, first.err
        torn = first.receipt["items"][1]["run_id"]
        with contextlib.closing(sqlite3.connect(tmp_path / "backend" / "store.sqlite")) as store, store:
            store.execute(f"UPDATE feedback {damage} WHERE run_id = ?", [torn])
        # The other items go on, here and from a folder that knows nothing.
        for folder, executed in ((tmp_path, 1), (tmp_path / "elsewhere", 0)):
            folder.mkdir(exist_ok=True)
            done = Command(arguments, cwd=folder, env=env).finish()
            assert done.code == 3, (done.code, done.out, done.err)
            assert (done.code, done.receipt["executions"], done.receipt["scored"]) == (3, executed, 0), (
                done.err
            )
            (item,) = (one for one in done.receipt["items"] if one["state"] == "not visible")
            assert item["run_id"] == torn
            assert told in item["reason"]
            assert done.receipt["verdict"].startswith(
                "Not complete: 3 of 4 items are visible; 1 not visible."
            )
            (row,) = done.receipt["evaluators"]
            assert (row["n"], row["missing"]) == (3, 1)
            assert done.receipt["duplicates"] == []
        assert len(log.begun()) == 4
