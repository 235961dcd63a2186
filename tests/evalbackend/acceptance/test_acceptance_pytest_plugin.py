"""The SDK's pytest plugin, in processes of its own: every run linked, ended and judged, the second time too."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client
from langsmith.schemas import TracerSession

from tests.evalbackend.acceptance.seen import Seen
from tests.evalbackend.acceptance.world import Axes, World, serving
from tests.support.backend import TOKEN, eventually

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")

SUITE = """
import pytest
from langsmith import testing as t, traceable


@traceable
def double(x):
    return 2 * x


@pytest.mark.langsmith(output_keys=["y"], split=["arithmetic"], metadata={"kind": "sum"})
@pytest.mark.parametrize(("x", "y"), [(x, 2 * x) for x in range(20)])
def test_double(x, y):
    t.log_reference_outputs({"y": y})
    t.log_outputs({"y": double(x)})
    t.log_feedback(key="near", score=0.5)
    assert double(x) == y


@pytest.mark.langsmith
@pytest.mark.parametrize("z", range(3))
def test_wrong(z):
    t.log_inputs({"z": z})
    t.log_reference_outputs({"y": "SAID"})
    t.log_outputs({"y": 3})
    with t.trace_feedback() as feedback:
        t.log_feedback(key="judged", score=1)
    assert z < 0, "three is too much"


@pytest.mark.langsmith
def test_skipped():
    pytest.skip("not today")


def test_without_langsmith():
    pass
"""
COUNT = 24


@contextlib.contextmanager
def served(folder: Path, axes: Axes) -> Iterator[World]:
    with (
        serving(folder / "backend.db", axes) as backend,
        backend.client(api_url=backend.url + axes.prefix) as client,
    ):
        yield World(backend, axes, client)


def folder(path: Path, said: str = "one") -> Path:
    """A repository with the suite, so that the plugin finds a commit to tag."""
    (path / "test_suite.py").write_text(SUITE.replace("SAID", said))
    (path / "pytest.ini").write_text("[pytest]\n")
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=trunk"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", said]):
        subprocess.run(["git", *who, *command], cwd=path, check=True, capture_output=True)
    return path


def commit_of(repository: Path) -> str:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True
    )
    return head.stdout.strip()


def run_suite(world: World, where: Path, suite: str, *options: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LANGSMITH", "LANGCHAIN", "PYTEST"))}
    told = {
        "LANGSMITH_ENDPOINT": world.client.api_url,
        "LANGSMITH_API_KEY": TOKEN,
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_TEST_SUITE": suite,
        "LANGSMITH_EXPERIMENT": suite,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        # Else each request walks the environment for proxies, in the plugin's threads, while pytest changes it from
        # test to test: a KeyError, which the plugin swallows, and with it the end of a run.
        "NO_PROXY": "127.0.0.1",
    }
    plugins = ["-p", "no:cacheprovider", "-p", "langsmith.pytest_plugin", "-p", "xdist"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, *options]
    ended = subprocess.run(
        command, cwd=where, env={**kept, **told}, capture_output=True, text=True, timeout=240, check=False
    )
    assert "3 failed, 21 passed, 1 skipped" in ended.stdout, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr


def check(world: World, project: TracerSession) -> set[Any]:
    """Nothing of the experiment is missing; return the ids of its examples."""
    truth = eventually(
        lambda: world.backend.truth(str(project.id)),
        lambda t: (t["counts"]["complete_roots"], t["counts"]["feedback"]) == (COUNT, COUNT + 23),
    )
    assert (truth["counts"]["roots"], truth["counts"]["repeated"]) == (COUNT, 0)
    roots = world.runs(str(project.name), is_root=True)
    # The plugin sends a run's end from a thread, which may overtake the test's error: see its score.
    assert {run.name for run in roots if run.status == "error"} <= {"test_wrong"}
    assert Counter(run.status == "pending" for run in roots) == {False: COUNT}
    linked = {run.example_id for run in roots}
    assert len(linked - {None}) == COUNT
    for run in roots:
        _check_run(run)
    children = world.runs(str(project.name), is_root=False)
    assert len([child for child in children if child.name == "double"]) == 40
    assert all(child.status == "success" for child in children)
    stats = world.client.read_project(project_id=str(project.id), include_stats=True).feedback_stats or {}
    assert {key: one["n"] for key, one in stats.items()} == {"pass": COUNT, "near": 20, "judged": 3}
    assert stats["pass"]["avg"] == pytest.approx(20 / 23)
    return {uuid.UUID(one) for one in linked if one}


def _check_run(run: Seen) -> None:
    scores = {key: average for key, (_, average) in run.scores.items()}
    if run.name == "test_double":
        assert ((run.outputs or {})["y"], scores) == (2 * run.inputs["x"], {"pass": 1, "near": 0.5})
        assert run.metadata["ls_example_kind"] == "sum"
    elif run.name == "test_wrong":
        assert scores == {"pass": 0, "judged": 1}
        assert run.error is None or "three is too much" in run.error
    else:
        assert run.outputs == {"skipped_reason": "not today"}


def newest(client: Client, dataset_name: str) -> TracerSession:
    dataset = client.read_dataset(dataset_name=dataset_name)
    return next(client.list_projects(reference_dataset_id=dataset.id))


def test_a_suite_in_two_processes_and_again(tmp_path: Path) -> None:
    suite = f"suite-{uuid.uuid4().hex[:8]}"
    with served(tmp_path / "store", Axes(True, "both", "")) as world:
        client = world.client
        run_suite(world, folder(tmp_path), suite, "-n", "2")
        first = newest(client, suite)
        examples = check(world, first)
        version = _check_dataset(client, suite, examples, tmp_path)
        # Of the second time, three tests expect something else; for the others nothing has changed.
        run_suite(world, folder(tmp_path, "two"), suite, "-n", "2")
        second = newest(client, suite)
        assert second.id != first.id
        assert check(world, second) == examples
        assert _check_dataset(client, suite, examples, tmp_path, "two") > version
        before = list(client.list_examples(dataset_name=suite, as_of=version))
        assert len([example for example in before if (example.outputs or {}).get("y") == "one"]) == 3
        assert check(world, first) == examples


@pytest.mark.parametrize("axes", [Axes(False, "v2", "/api/v1"), Axes(True, "older", "/api")], ids=str)
def test_a_suite_under_other_settings(axes: Axes, tmp_path: Path) -> None:
    suite = f"suite-{uuid.uuid4().hex[:8]}"
    with served(tmp_path / "store", axes) as world:
        run_suite(world, folder(tmp_path), suite, "-n", "2")
        _check_dataset(world.client, suite, check(world, newest(world.client, suite)), tmp_path)


def _check_dataset(client: Client, suite: str, ids: set[Any], where: Path, said: str = "one") -> Any:
    dataset = client.read_dataset(dataset_name=suite)
    assert (dataset.example_count, (dataset.metadata or {})["__ls_runner"]) == (COUNT, "pytest")
    examples = {example.id: example for example in client.list_examples(dataset_id=dataset.id)}
    assert set(examples) == ids
    assert len([e for e in examples.values() if (e.outputs or {}).get("y") == said]) == 3
    assert client.list_dataset_splits(dataset_id=dataset.id) == ["arithmetic", "base"]
    split = list(client.list_examples(dataset_id=dataset.id, splits=["arithmetic"]))
    assert sorted((e.inputs or {})["x"] for e in split) == list(range(20))
    assert all(e.outputs == {"y": 2 * (e.inputs or {})["x"]} for e in split)
    # Each of the two processes tags the version that it knows, commit and branch one after the other: if they meet,
    # the two tags end on two versions (langsmith/testing/_internal.py:534).
    for tag in (f"git:commit:{commit_of(where)}", "git:branch:trunk"):
        assert tag in (client.read_dataset_version(dataset_id=dataset.id, tag=tag).tags or [])
    latest = client.read_dataset_version(dataset_id=dataset.id, tag="latest")
    assert len(list(client.list_examples(dataset_id=dataset.id, as_of="git:branch:trunk"))) <= COUNT
    project = newest(client, suite)
    assert project.metadata["dataset_version"] is not None
    return latest.as_of
