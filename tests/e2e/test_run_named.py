"""This experiment, made if there is none of the name: what a script says that may be started again."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from evalrunner.exit_codes import ExitCode
from tests.support.rig import Backend, ExecutionLog, Finished, assert_whole, read_experiment

Cli = Callable[..., Finished]
TARGET = ("--target", f"{Path(__file__).resolve().parent}/targets/kinds.py:sync")


@pytest.fixture
def name() -> str:
    return f"nightly-{secrets.token_hex(4)}"


def names(backend: Backend, dataset: str) -> list[str]:
    return [str(one.name) for one in backend.client.list_projects(reference_dataset_name=dataset)]


def test_the_same_words_make_it_and_go_on_with_it(
    backend: Backend, command: Cli, inside: Cli, log: ExecutionLog, tmp_path: Path, name: str
) -> None:
    dataset = str(backend.dataset(4).name)
    words = ("run", "--dataset", dataset, "--experiment", name, *TARGET, "--workers", "1", "--json")
    described = ("--description", "each night", "--metadata", "kind=nightly")
    planned = inside(*words, "--plan")
    assert planned.receipt["experiment"]["name"] == f"{name} (a new one)", planned.err
    assert names(backend, dataset) == []

    done = command(*words, *described, "--limit", "3")
    assert done.code == ExitCode.COMPLETE, done.err
    assert names(backend, dataset) == [name]
    again = command(*words, *described)
    assert (again.code, again.receipt["executions"]) == (ExitCode.COMPLETE, 0), again.err

    # From another folder, as a requeued job on another machine has it: a part of it is lost.
    there = read_experiment(backend.client, name)
    assert (there.project.description, (there.project.metadata or {})["kind"]) == ("each night", "nightly")
    backend.delete_traces(there.project, [str(there.roots[0].id)])
    elsewhere = command(*words, "--run-dir", str(tmp_path / "elsewhere"))
    assert (elsewhere.code, elsewhere.receipt["executions"]) == (ExitCode.COMPLETE, 1), elsewhere.err
    assert names(backend, dataset) == [name]
    assert_whole(backend.client, name, keys=[], examples=3)


LOADS = """
import threading
from pathlib import Path
while not Path(__file__).with_suffix(".gate").exists():
    threading.Event().wait(0.05)
def target(inputs):
    return inputs
"""


@pytest.mark.parametrize("named", [True, False])
def test_one_that_was_ended_before_it_was_made_is_begun_again_in_its_folder(
    backend: Backend, command: Cli, log: ExecutionLog, tmp_path: Path, name: str, named: bool
) -> None:
    dataset = str(backend.dataset(2).name)
    made = ("--experiment", name) if named else ()
    folder = ("--run-dir", str(tmp_path / "run"), "--workers", "1")
    (tmp_path / "loads.py").write_text(LOADS)
    words = ("run", "--dataset", dataset, *made, "--target", "loads.py:target", *folder)
    done = command(*words, "--walltime", "3")
    assert (done.code, names(backend, dataset)) == (ExitCode.INTERRUPTED, []), done.err
    (tmp_path / "loads.gate").touch()
    done = command(*words)
    assert done.code == ExitCode.COMPLETE, done.err
    assert len(names(backend, dataset)) == 1
    assert_whole(backend.client, names(backend, dataset)[0], keys=[])


def test_both_may_stand_in_the_file_and_a_flag_means_what_it_says(
    backend: Backend, inside: Cli, tmp_path: Path, name: str
) -> None:
    dataset, other = str(backend.dataset(1).name), str(backend.dataset(2).name)
    (tmp_path / "evalrunner.toml").write_text(
        f'dataset = "{dataset}"\nexperiment = "{name}"\ntarget = "{TARGET[1]}"\n'
    )
    planned = inside("--json", "--plan")
    assert planned.receipt["experiment"]["name"] == f"{name} (a new one)", planned.err
    planned = inside("--json", "--plan", "--dataset", other)
    assert planned.receipt["experiment"]["name"].startswith(f"{other}-"), planned.err
    # A mistyped experiment is a mistake, and not made.
    mistyped = inside("--json", "--plan", "--experiment", f"{name}x")
    assert mistyped.code == ExitCode.USAGE
    assert f"no experiment '{name}x'" in mistyped.err


def test_what_cannot_be_meant_is_one_sentence(
    backend: Backend, inside: Cli, log: ExecutionLog, name: str
) -> None:
    mine, other = backend.dataset(1), backend.dataset(1)
    existing = backend.experiment(mine)
    tracing = backend.client.create_project(f"traces-{name}")
    unknown = "6d4a9f0e-8c1b-4d8e-9b0a-0123456789ab"
    for dataset, experiment, said in [
        (other, existing, f"is over the dataset '{mine.name}', and --dataset names '{other.name}'"),
        (mine, unknown, f"there is no experiment {unknown}; one that is to be made needs a name"),
        (mine, str(tracing.name), "is a tracing project: give the experiment another name"),
    ]:
        done = inside("run", "--dataset", str(dataset.name), "--experiment", experiment, *TARGET)
        assert (done.code, done.out) == (ExitCode.USAGE, ""), done.err
        assert said in done.err
        assert done.err.count("error: ") == 1
    assert log.lines() == []


MAKES = """
import os
from langsmith import Client
NAME, DATASET = os.environ["MAKES"].split(",")
if not Client().has_project(NAME):
    Client().create_project(NAME, reference_dataset_id=DATASET)
def target(inputs):
    return inputs
"""


def test_two_that_make_it_at_the_same_moment_do_not_make_two(
    backend: Backend, command: Cli, tmp_path: Path, name: str
) -> None:
    """The other one makes it after ours has looked, and before ours does."""
    dataset = backend.dataset(2)
    (tmp_path / "makes.py").write_text(MAKES)
    words = ("run", "--dataset", str(dataset.name), "--experiment", name, "--target", "makes.py:target")
    done = command(*words, "--workers", "1", MAKES=f"{name},{dataset.id}")
    assert done.code == ExitCode.USAGE, done.err
    assert f"something else has made an experiment '{name}' at this moment" in done.err
    done = command(*words, "--workers", "1", MAKES=f"{name},{dataset.id}")
    assert done.code == ExitCode.COMPLETE, done.err
    assert names(backend, str(dataset.name)) == [name]
    assert_whole(backend.client, name, keys=[])
