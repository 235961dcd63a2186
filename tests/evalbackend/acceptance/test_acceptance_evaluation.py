"""Evaluations and comparisons: every row, every score, every link is read back, in every generation of reads."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import pytest
from langsmith import Client, aevaluate, evaluate, traceable
from langsmith.evaluation import aevaluate_existing, evaluate_comparative, evaluate_existing, run_evaluator
from langsmith.schemas import Dataset, Example, Run, TracerSession

from tests.evalbackend.acceptance.seen import Seen
from tests.evalbackend.acceptance.world import QUIET, World, name

pytestmark = [QUIET, pytest.mark.filterwarnings("ignore:Function get_test_results is in beta")]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "langsmith.evaluation")  # a target raises on purpose


@traceable
def double(x: int) -> int:
    return 2 * x


def target(inputs: dict[str, Any]) -> dict[str, Any]:
    if inputs["x"] == 3:
        raise ValueError("three is too much")
    return {"y": double(inputs["x"])}


async def atarget(inputs: dict[str, Any]) -> dict[str, Any]:
    return target(inputs)


def right(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> dict[str, Any]:
    return {"key": "right", "score": (outputs or {}).get("y") == reference_outputs["y"]}


def half(run: Run) -> dict[str, Any]:
    return {"key": "half", "score": 0.5, "comment": "so so"}


def nested(run: Run) -> dict[str, Any]:
    return {"key": "nested", "score": len(run.child_runs or [])}


def total(outputs: list[Any]) -> dict[str, Any]:
    return {"key": "total", "score": len(outputs)}


TOTAL: Any = total  # the SDK's types know fewer signatures of summary evaluators than it takes


def judged(world: World, project: str, roots: int, keys: set[str], children: int) -> list[Seen]:
    """The roots of an experiment, once every one of them has its scores, and the evaluation its children."""
    world.landed(project, roots + children)
    runs = world.soon(
        lambda: world.runs(project, is_root=True),
        lambda found: len(found) == roots and all(set(run.scores) == keys for run in found),
    )
    assert all(n == 1 for run in runs for n, _ in run.scores.values())
    return runs


def check_roots(world: World, dataset: Dataset, runs: list[Seen], repetitions: int) -> None:
    examples = {str(example.id): example for example in world.client.list_examples(dataset_id=dataset.id)}
    assert sorted(run.example_id or "" for run in runs) == sorted(repetitions * [*examples])
    for run in runs:
        example = examples[run.example_id or ""]
        assert run.inputs in (example.inputs, {"inputs": example.inputs})
        if (example.inputs or {})["x"] == 3:
            assert (run.status, run.scores["right"]) == ("error", (1, 0))
            assert "three is too much" in (run.error or "")
        else:
            assert (run.status, run.outputs, run.scores["right"]) == ("success", example.outputs, (1, 1))


def check_whole(world: World, project: str, dataset: Dataset, roots: int, extra: dict[str, int]) -> None:
    """The experiment's own numbers, and its examples with their runs, by each call that tells them."""
    client = world.client
    told = world.soon(
        lambda: client.get_experiment_results(name=project),
        lambda found: set(found["feedback_stats"]) == {"right", "half", *extra},
    )
    assert told["run_stats"]["run_count"] == roots
    assert told["run_stats"]["error_rate"] == pytest.approx(0.2)
    stats = told["feedback_stats"]
    assert (stats["right"]["n"], stats["right"]["avg"]) == (roots, pytest.approx(0.8))
    assert {key: stats[key]["n"] for key in extra} == extra
    rows = {(row.inputs or {})["x"]: len(row.runs) for row in told["examples_with_runs"]}
    assert rows == dict.fromkeys(range(5), roots // 5)
    some = client.get_experiment_results(name=project, limit=3, preview=True)["examples_with_runs"]
    assert [len(row.runs) for row in some] == 3 * [roots // 5]
    session = str(client.read_project(project_name=project).id)
    items = world.api.datasets.experiment_runs.query(
        str(dataset.id), experiment_ids=[session], selects=["ID", "FEEDBACK_STATS"], page_size=2
    )
    assert {item.inputs["x"]: len(item.runs) for item in items} == rows
    frame = client.get_test_results(project_name=project)
    assert sorted(frame["input.x"]) == sorted(x for x in range(5) for _ in range(roots // 5))
    assert set(frame["feedback.half"]) == {0.5}
    reached = frame[frame["error"].isna()]
    assert list(reached["outputs.y"]) == list(reached["reference.y"])


def test_an_evaluation(world: World) -> None:
    client, dataset = world.client, world.filled(5)
    told: dict[str, Any] = {
        "data": dataset.name, "evaluators": [right, half], "summary_evaluators": [TOTAL], "client": client,
        "experiment_prefix": name("exp"), "metadata": {"model": "m"}, "num_repetitions": 2, "max_concurrency": 2,
    }  # fmt: skip
    if world.axes.one_of("evaluate", "aevaluate") == "evaluate":
        project = evaluate(target, **told).experiment_name
    else:
        project = asyncio.run(_consume(told))
    client.flush()
    runs = judged(world, project, 10, {"right", "half"}, children=8)
    check_roots(world, dataset, runs, repetitions=2)
    check_whole(world, project, dataset, 10, {"total": 1})
    read = client.read_project(project_name=project)
    assert (read.reference_dataset_id, read.metadata["model"]) == (dataset.id, "m")
    given = client.list_feedback(run_ids=[run.id for run in runs], feedback_key=["half"])
    assert {(str(one.run_id), one.score, one.comment) for one in given} == {
        (run.id, 0.5, "so so") for run in runs
    }


async def _consume(told: dict[str, Any]) -> str:
    results = await aevaluate(atarget, **told)
    async for _ in results:
        pass
    return results.experiment_name


def experiment(world: World, count: int, by: Any = target) -> tuple[Dataset, TracerSession]:
    """An experiment whose runs have all landed, without any feedback."""
    dataset = world.filled(count)
    results = world.client.evaluate(by, data=dataset.name, max_concurrency=0)
    world.client.flush()
    return dataset, world.client.read_project(project_name=results.experiment_name)


def test_an_experiment_is_evaluated_later(world: World) -> None:
    dataset, project = experiment(world, 5)
    world.landed(project.name or "", 9)
    told: dict[str, Any] = {"client": world.client, "evaluators": [right, half, nested], "max_concurrency": 0}
    if world.axes.one_of("sync", "async") == "sync":
        evaluate_existing(project.id, load_nested=True, **told)
    else:
        asyncio.run(_later(project.id, told))
    world.client.flush()
    runs = judged(world, project.name or "", 5, {"right", "half", "nested"}, children=4)
    check_roots(world, dataset, runs, repetitions=1)
    assert sorted(run.scores["nested"][1] or 0 for run in runs) == [0, 1, 1, 1, 1]
    check_whole(world, project.name or "", dataset, 5, {"nested": 5})


async def _later(project: uuid.UUID, told: dict[str, Any]) -> None:
    async for _ in await aevaluate_existing(project, load_nested=True, **told):
        pass


def test_two_experiments_are_compared(world: World) -> None:
    client, dataset = world.client, world.filled(3)
    projects = []
    for factor in (1, 2):
        results = client.evaluate(lambda inputs, by=factor: {"y": by * inputs["x"]}, data=dataset.name)
        projects.append(client.read_project(project_name=results.experiment_name))
    client.flush()

    def larger(runs: Sequence[Run], example: Example | None) -> dict[str, Any]:
        top = max((run.outputs or {})["y"] for run in runs)
        return {"key": "larger", "scores": {run.id: int((run.outputs or {})["y"] == top) for run in runs}}

    ids = (projects[0].id, projects[1].id)
    said = evaluate_comparative(ids, evaluators=[larger], client=client, metadata={"why": "test"})
    assert said.comparative_experiment is not None
    comparison = said.comparative_experiment.id
    (told,) = world.soon(
        lambda: client.request_with_retries("GET", f"/datasets/{dataset.id}/comparative").json(),
        lambda found: len(found) == 1 and found[0]["feedback_stats"].get("larger", {}).get("n") == 6,
    )
    assert told["id"] == str(comparison)
    assert told["extra"] == {"metadata": {"why": "test"}}
    assert [one["name"] for one in told["experiments_info"]] == [project.name for project in projects]
    first = list(client.list_feedback(feedback_key=["larger"], session=[str(ids[0])]))
    assert sorted(one.score or 0 for one in first) == [0, 0, 1]
    assert {one.comparative_experiment_id for one in first} == {comparison}
    scores = [run.scores["larger"] for run in world.runs(projects[1].name or "", is_root=True)]
    assert scores == 3 * [(1, 1.0)]
    path = f"/datasets/{dataset.id}/comparative"
    for asked, count in ({"name": told["name"]}, 1), ({"name_contains": "nothing"}, 0):
        assert len(client.request_with_retries("GET", path, params=asked).json()) == count
    client.delete_dataset(dataset_id=dataset.id)
    assert client.request_with_retries("GET", path).json() == []


def test_a_comparison_is_made(sample: World) -> None:
    client, dataset = sample.client, sample.filled(1)
    ids = [client.create_project(name("p"), reference_dataset_id=dataset.id).id for _ in range(2)]
    made = client.create_comparative_experiment(name("c"), ids, description="d", metadata={"k": 1})
    (told,) = client.request_with_retries("GET", f"/datasets/{dataset.id}/comparative").json()
    assert (told["id"], told["name"], told["description"]) == (str(made.id), made.name, "d")
    assert [one["id"] for one in told["experiments_info"]] == [str(one) for one in ids]


@run_evaluator
def judge(run: Run, example: Example | None) -> dict[str, Any]:
    assert example is not None
    return {"key": "judge", "score": float(run.outputs == example.outputs)}


@pytest.mark.parametrize("way", ["evaluate_run", "aevaluate_run"])
def test_one_run_is_evaluated(sample: World, way: str) -> None:
    client, (_, project) = sample.client, experiment(sample, 2)
    for run in sample.landed(project.name or "", 4, **{}):
        if run.parent_run_id is None:
            _evaluate_one(client, run, way)
    client.flush()
    runs = judged(sample, project.name or "", 2, {"judge"}, children=2)
    assert [run.scores["judge"] for run in runs] == 2 * [(1, 1.0)]


def _evaluate_one(client: Client, run: Seen, way: str) -> None:
    told: dict[str, Any] = {"project_id": run.session_id, "start_time": run.start_time}
    if way == "evaluate_run":
        client.evaluate_run(run.id, judge, **told)
    else:
        asyncio.run(client.aevaluate_run(run.id, judge, **told))


def test_the_evaluation_of_the_client(sample: World) -> None:
    client, dataset = sample.client, sample.filled(2)

    async def consume() -> str:
        results = await client.aevaluate(atarget, data=dataset.name, evaluators=[right])
        async for _ in results:
            pass
        return results.experiment_name

    started = datetime.now(timezone.utc)
    project = asyncio.run(consume())
    client.flush()
    runs = judged(sample, project, 2, {"right"}, children=2)
    assert all(run.start_time >= started for run in runs)
