"""An experiment that plain `evaluate` has filled: what it was meant to hold is evaluated, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

import pytest
import requests
from langsmith import evaluate
from langsmith.schemas import Dataset, Example

from evalrunner.config import Endpoint
from evalrunner.doctor.place import find
from evalrunner.doctor.survey import survey
from evalrunner.doctor.symptoms import symptoms
from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, ExecutionLog, read_experiment

Run = Callable[..., Receipt]
TARGET = "kinds.py:sync"


def plain(backend: Backend, data: Any, **options: Any) -> str:
    """Evaluate with the SDK alone; return the experiment's name."""
    done = evaluate(
        lambda inputs: {"i": inputs["i"]}, data=data, client=backend.client, max_concurrency=1, **options
    )
    done.wait()
    return str(done.experiment_name)


def examples(backend: Backend, dataset: Dataset, **options: Any) -> list[Example]:
    return list(backend.client.list_examples(dataset_id=dataset.id, **options))


def number(one: Example) -> int:
    return int((one.inputs or {})["i"])


def delete(backend: Backend, name: str, numbers: Iterable[int]) -> None:
    """Delete the runs over these examples."""
    wanted = set(numbers)
    experiment = backend.client.read_project(project_name=name)
    roots = read_experiment(backend.client, name).roots
    backend.delete_traces(
        experiment,
        [str(root.id) for root in roots if (root.inputs or {}).get("inputs", root.inputs)["i"] in wanted],
    )


def expected_on_the_page(backend: Backend, name: str) -> int:
    """Return how many runs the local backend's pages and progress bar want."""
    experiment = backend.client.read_project(project_name=name)
    answer = requests.get(
        f"{backend.url}/sessions/{experiment.id}?include_stats=true",
        headers={"x-api-key": backend.token},
        timeout=60,
    )
    return int(answer.json()["experiment_progress"]["expected_run_count"])


def counts(receipt: Receipt) -> tuple[int, int, int]:
    plan = receipt.plan
    return plan["items"], plan["already_complete"], plan["to_run"]


def codes(receipt: Receipt) -> list[str]:
    return [one.code for one in receipt.findings]


def settled(backend: Backend, run: Run, name: str, items: int) -> None:
    """Complete it; whatever is added later, the same command then finds nothing to do."""
    done = run(TARGET, experiment=name)
    assert (done.exit_code, done.complete, done.plan["items"]) == (0, True, items), done.verdict
    dataset = backend.client.read_project(project_name=name).reference_dataset_id
    backend.client.create_examples(dataset_id=dataset, examples=[{"inputs": {"i": 99}}])
    again = run(TARGET, experiment=name, plan=True)
    assert counts(again) == (items, items, 0)
    assert "examples-not-meant" in codes(again)
    assert expected_on_the_page(backend, name) == items


def test_a_part_of_a_dataset_is_complete_without_the_rest(
    backend: Backend, run: Run, log: ExecutionLog
) -> None:
    dataset = backend.dataset(10)
    some = [one for one in examples(backend, dataset) if number(one) in (1, 4, 5, 8)]
    name = plain(backend, some)
    plan = run(TARGET, experiment=name, plan=True)
    assert counts(plan) == (4, 4, 0)
    assert codes(plan) == ["examples-not-meant"]
    assert "6 further example(s)" in plan.warnings[0]
    assert "made for 4 examples, and those have runs" in plan.warnings[0]
    assert expected_on_the_page(backend, name) == 4
    settled(backend, run, name, 4)
    assert log.lines() == []
    whole = run(TARGET, experiment=name, as_of="latest", plan=True)
    assert counts(whole) == (11, 4, 7)
    assert codes(whole) == []


def test_of_the_first_examples_just_those_that_are_lost_are_run(
    backend: Backend, run: Run, log: ExecutionLog
) -> None:
    dataset = backend.dataset(10)
    name = plain(backend, examples(backend, dataset)[:6])
    delete(backend, name, (2, 5))
    plan = run(TARGET, experiment=name, plan=True)
    assert counts(plan) == (6, 4, 2)
    assert "its runs are of the first ones" in plan.warnings[0]
    settled(backend, run, name, 6)
    assert log.counts() == {"2": 1, "5": 1}


@pytest.mark.parametrize("counted", [False, True], ids=["iterator", "list"])
def test_a_split_of_a_dataset_is_completed_without_the_others(
    backend: Backend, run: Run, log: ExecutionLog, counted: bool
) -> None:
    dataset = backend.dataset(9, split=lambda number: [["train"], ["test"], ["test", "hard"]][number % 3])
    data = backend.client.list_examples(dataset_id=dataset.id, splits=["test"])
    name = plain(backend, list(data) if counted else data)
    delete(backend, name, (4,))
    plan = run(TARGET, experiment=name, plan=True)
    assert counts(plan) == (6, 5, 1)
    assert "its runs are of split" in plan.warnings[0]
    assert set(plan.plan["splits"]) == {"test", "hard"}
    settled(backend, run, name, 6)
    assert log.counts() == {"4": 1}


def test_a_whole_dataset_that_has_grown_since_is_whole(backend: Backend, run: Run, log: ExecutionLog) -> None:
    dataset = backend.dataset(5)
    name = plain(backend, dataset.name)
    delete(backend, name, (0,))
    backend.client.create_examples(dataset_id=dataset.id, examples=[{"inputs": {"i": 50}}])
    plan = run(TARGET, experiment=name, plan=True)
    assert counts(plan) == (5, 4, 1)
    assert expected_on_the_page(backend, name) == 5
    settled(backend, run, name, 5)
    assert log.counts() == {"0": 1}


def test_where_nobody_knows_which_were_meant_all_are_and_it_is_said(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(8)
    some = [one for one in examples(backend, dataset) if number(one) in (1, 4, 7)]
    name = plain(backend, some)
    delete(backend, name, (4,))
    plan = run(TARGET, experiment=name, plan=True)
    assert counts(plan) == (8, 2, 6)
    assert codes(plan) == ["examples-unsure"]
    assert "made for 3 examples, and which those are besides the 2 that have runs" in plan.warnings[0]


def test_of_processes_that_share_an_experiment_the_last_makes_it_no_smaller(
    backend: Backend, run: Run
) -> None:
    dataset = backend.dataset(6)
    name = plain(backend, dataset.name, num_repetitions=2)
    plain(backend, examples(backend, dataset)[:1], experiment=name)  # writes that there is one repetition
    delete(backend, name, (3,))
    assert backend.client.read_project(project_name=name).metadata["num_repetitions"] == 1
    plan = run(TARGET, experiment=name, plan=True)
    assert counts(plan) == (12, 10, 2)
    assert expected_on_the_page(backend, name) == 12
    done = run(TARGET, experiment=name)
    # The first example has a third run now, of the one that counted one repetition: that is one too many.
    assert (done.exit_code, done.executions) == (3, 2)
    assert "1 complete run more than planned stands beside them" in done.verdict


def test_shards_of_one_experiment_are_completed_whichever_wrote_last(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(6, split=lambda number: [f"s{number % 2}"])
    name = backend.experiment(dataset)
    for split in ("s0", "s1"):
        plain(backend, backend.client.list_examples(dataset_id=dataset.id, splits=[split]), experiment=name)
    assert backend.client.read_project(project_name=name).metadata["dataset_splits"] == ["s1"]
    delete(backend, name, (0, 3))
    plan = run(TARGET, experiment=name, plan=True)
    assert counts(plan) == (6, 4, 2)
    assert codes(plan) == []


def test_where_more_have_runs_than_it_was_made_for_the_page_wants_what_the_plan_does(
    backend: Backend, run: Run
) -> None:
    dataset = backend.dataset(9)
    there = examples(backend, dataset)
    name = plain(backend, there[:3])
    plain(backend, there[3:6], experiment=backend.client.read_project(project_name=name))
    assert counts(run(TARGET, experiment=name, plan=True)) == (9, 6, 3)
    assert expected_on_the_page(backend, name) == 9


def test_a_part_that_is_asked_for_beside_other_runs_hides_none_of_them(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(6)
    backend.client.create_examples(
        dataset_id=dataset.id, examples=[{"inputs": {"i": i}, "split": "late"} for i in range(6, 10)]
    )
    name = plain(backend, examples(backend, dataset))
    done = run(TARGET, experiment=name, limit=3)
    assert (done.exit_code, done.plan["items"]) == (0, 3), done.verdict
    assert counts(run(TARGET, experiment=name, plan=True)) == (10, 10, 0)
    assert expected_on_the_page(backend, name) == 10
    metadata = backend.client.read_project(project_name=name).metadata or {}
    assert metadata["dataset_splits"] == ["base", "late"]


def test_a_part_that_is_asked_for_is_no_more_than_was_meant(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(6, split=lambda number: ["odd" if number % 2 else "even"])
    name = plain(backend, examples(backend, dataset, splits=["even"]))
    delete(backend, name, (2,))
    done = run(TARGET, experiment=name, splits=("even",))
    assert (done.exit_code, done.plan["items"]) == (0, 3), done.verdict
    again = run(TARGET, experiment=name, plan=True)
    assert counts(again) == (3, 3, 0)
    assert expected_on_the_page(backend, name) == 3


@pytest.mark.parametrize("options", [{}, {"limit": 3}, {"splits": ("even",)}], ids=["all", "limit", "split"])
def test_what_had_left_the_dataset_before_a_run_is_not_missing_after_it(
    backend: Backend, run: Run, options: dict[str, Any]
) -> None:
    dataset = backend.dataset(6, split=lambda i: ["odd" if i % 2 else "even"])
    there = sorted(examples(backend, dataset), key=number)
    backend.client.update_example(there[2].id, split="odd")
    backend.client.delete_example(there[0].id)
    done = run(TARGET, dataset=dataset.name, **options)
    assert done.exit_code == 0, done.verdict
    again = run(TARGET, experiment=done.experiment["name"], plan=True)
    assert counts(again) == (done.plan["items"], done.plan["items"], 0)
    assert expected_on_the_page(backend, done.experiment["name"]) == done.plan["items"]


@pytest.mark.parametrize("version", [5, "no time", None, ["x"]])
def test_what_stands_as_the_version_and_is_no_time_is_nobody_s(
    backend: Backend, run: Run, version: Any
) -> None:
    dataset = backend.dataset(3)
    name = plain(backend, dataset.name)
    experiment = backend.client.read_project(project_name=name)
    backend.client.update_project(experiment.id, metadata={"dataset_version": version})
    seen = survey(find(Endpoint(url=backend.url, key=backend.token), name))
    assert [one.text for one in symptoms(seen, datetime.now(timezone.utc))] == []
    assert run(TARGET, experiment=name, limit=2).exit_code == 0
    assert counts(run(TARGET, experiment=name, plan=True)) == (3, 3, 0)
    written = (backend.client.read_project(project_name=name).metadata or {})["dataset_version"]
    assert datetime.fromisoformat(written)
