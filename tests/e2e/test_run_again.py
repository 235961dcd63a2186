"""The command again: it executes what is missing, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client, aevaluate

from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, ExecutionLog, Finished, assert_whole, read_experiment, wait_until

Run = Callable[..., Receipt]
TARGETS = Path(__file__).resolve().parent / "targets"
WHAT = ("--target", f"{TARGETS}/kinds.py:sync", "--evaluator", f"{TARGETS}/judges.py:right")


def test_nothing_is_missing_then_some_is(
    backend: Backend, command: Callable[..., Finished], log: ExecutionLog
) -> None:
    dataset = backend.dataset(20)
    first = command("--dataset", dataset.name, "--workers", "4", "--json", *WHAT)
    assert first.code == 0, first.err
    name = first.receipt["experiment"]["name"]
    before = assert_whole(backend.client, name, keys=["right"], children=1)

    second = command("--experiment", name, "--workers", "4", "--json", *WHAT)
    assert second.code == 0, second.err
    assert second.receipt["executions"] == 0
    assert second.receipt["verdict"].startswith("Nothing is missing")
    assert len(log.begun()) == 20

    gone = before.roots[::4]
    backend.delete_traces(before.project, [str(root.id) for root in gone])
    assert read_experiment(backend.client, name).lost() == len(gone) == 5
    planned = command("--experiment", name, "--plan", "--json", *WHAT)
    assert planned.code == 0, planned.err
    assert {item["example_id"] for item in planned.receipt["items"] if item["state"] == "not run"} == {
        str(root.reference_example_id) for root in gone
    }
    assert len(log.begun()) == 20, "a plan executes nothing"

    third = command("--experiment", name, "--workers", "2", "--json", *WHAT)
    assert third.code == 0, third.err
    assert third.receipt["executions"] == 5
    again = {str((root.inputs or {})["i"]) for root in gone}
    assert log.counts() == {str(n): 1 + (str(n) in again) for n in range(20)}
    after = assert_whole(backend.client, name, keys=["right"], children=1)
    kept = {root.id for root in before.roots} - {root.id for root in gone}
    assert kept < {root.id for root in after.roots}


def test_elsewhere_too_where_no_folder_tells_of_the_first_run(
    backend: Backend, run: Run, log: ExecutionLog, tmp_path: Path
) -> None:
    receipt = run("kinds.py:sync", "judges.py:right", dataset=backend.dataset(8).name, repetitions=2)
    name = receipt.experiment["name"]
    seen = assert_whole(backend.client, name, keys=["right"], repetitions=2)
    backend.delete_traces(seen.project, [str(seen.roots[3].id)])
    second = run("kinds.py:sync", "judges.py:right", experiment=name, run_dir=tmp_path / "elsewhere")
    assert (second.exit_code, second.executions) == (0, 1), second
    assert_whole(backend.client, name, keys=["right"], repetitions=2)
    assert sum(log.counts().values()) == 17


def test_deleted_feedback_is_made_again(backend: Backend, run: Run) -> None:
    receipt = run("kinds.py:sync", "judges.py:right", dataset=backend.dataset(5).name)
    name = receipt.experiment["name"]
    seen = assert_whole(backend.client, name, keys=["right"])
    root = seen.roots[2]
    backend.client.delete_feedback(seen.feedback[root.id][0].id)
    second = run("kinds.py:sync", "judges.py:right", experiment=name)
    assert (second.exit_code, second.executions, second.scored) == (0, 0, 1), second
    after = read_experiment(backend.client, name)
    whole = [one for one in after.roots if after.feedback.get(one.id)]
    assert {one.reference_example_id for one in whole} == set(after.examples)


@pytest.mark.parametrize("name", ["by the SDK", "created empty"])
def test_runs_of_the_plain_sdk_count(backend: Backend, run: Run, log: ExecutionLog, name: str) -> None:
    dataset = backend.dataset(6)
    experiment = backend.experiment(dataset)
    if name == "by the SDK":
        plain(backend, experiment, [*backend.client.list_examples(dataset_id=dataset.id)][:4])
    receipt = run("kinds.py:sync", "judges.py:right", experiment=experiment)
    assert receipt.exit_code == 0, receipt
    wanted = 2 if name == "by the SDK" else 6
    assert receipt.executions == len(log.begun()) == wanted
    assert_whole(backend.client, experiment, keys=["right"])
    assert run("kinds.py:sync", "judges.py:right", experiment=experiment).executions == 0


def plain(backend: Backend, experiment: str, examples: list[Any]) -> None:
    """Do what anybody does without evalrunner."""

    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"sum": inputs["i"] + 1}

    def right(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> dict[str, Any]:
        return {"score": outputs["sum"] == reference_outputs["i"] + 1}

    async def evaluate(client: Client) -> None:
        project = client.read_project(project_name=experiment)
        results = await aevaluate(
            target, data=examples, evaluators=[right], experiment=project, client=client, max_concurrency=2
        )
        async for _ in results:
            pass

    client = Client(api_url=backend.url, api_key=backend.endpoint.key)
    try:
        asyncio.run(evaluate(client))
        client.flush()
        wait_until(lambda: scored(backend, experiment) == len(examples), what="the SDK's own feedback")
    finally:
        client.close()


def scored(backend: Backend, experiment: str) -> int:
    return sum(len(scores) for scores in read_experiment(backend.client, experiment).feedback.values())


def test_an_examples_story_is_what_happened_to_it(
    backend: Backend, command: Callable[..., Finished], inside: Callable[..., Finished]
) -> None:
    dataset = backend.dataset(2)
    first = command("--dataset", dataset.name, "--workers", "1", "--json", *WHAT)
    assert first.code == 0, first.err
    item = first.receipt["items"][0]
    told = inside("story", item["example_id"][:8], "--json")
    assert told.code == 0, told.err
    assert told.receipt["experiment"]["name"] == first.receipt["experiment"]["name"]
    (story,) = told.receipt["items"]
    assert (story["example_id"], story["run_id"], story["state"]) == (
        item["example_id"],
        item["run_id"],
        "visible",
    )
    happened = [event["what"] for event in story["events"]]
    assert happened == ["leased", "produced", "accepted", "visible"]
    assert {event["slot"] for event in story["events"]} == {0, None}
