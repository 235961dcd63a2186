"""Whatever `aevaluate` takes as a target is evaluated whole; what has a set-up is set up once per worker."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest

from evalrunner.errors import EvalrunnerError
from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, ExecutionLog, assert_whole

Run = Callable[..., Receipt]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("sync", "sync"),
        ("asynchronous", "asynchronous"),
        ("traced", "traced"),
        ("async_traced", "traced under another name"),
        ("not_a_dictionary", "not_a_dictionary"),
    ],
)
def test_functions(backend: Backend, run: Run, log: ExecutionLog, kind: str, name: str) -> None:
    dataset = backend.dataset(6)
    receipt = run(f"kinds.py:{kind}", "judges.py:right", dataset=dataset.name)
    assert receipt.exit_code == 0, receipt
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=["right"], children=1)
    assert {root.name for root in seen.roots} == {name}
    assert {run.name for run in seen.runs if run.parent_run_id} == (
        {"async_add"} if "async" in kind else {"add"}
    )
    assert all(score.score == 1 for scores in seen.feedback.values() for score in scores)
    assert log.counts() == {str(number): 1 for number in range(6)}


def test_a_runnable(backend: Backend, run: Run) -> None:
    receipt = run("kinds.py:runnable", "judges.py:right", dataset=backend.dataset(4).name)
    assert receipt.exit_code == 0, receipt
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=["right"])
    for root in seen.roots:
        assert len(seen.children(root)) >= 2
        # The arguments of `ainvoke`, as plain `aevaluate` records them.
        assert (root.outputs or {})["sum"] == (root.inputs or {})["input"]["i"] + 1


@pytest.mark.parametrize(
    ("kind", "factory", "events"),
    [
        ("Model", False, ["built", "setup", "teardown"]),
        ("AsyncModel", False, ["setup", "teardown"]),
        ("factory", True, ["built"]),
        ("async_factory", True, ["built"]),
        ("managed", True, ["setup", "teardown"]),
    ],
)
def test_what_is_built_is_built_once_per_worker(
    backend: Backend, run: Run, log: ExecutionLog, kind: str, factory: bool, events: list[str]
) -> None:
    dataset = backend.dataset(8)
    receipt = run(f"kinds.py:{kind}", "judges.py:right", dataset=dataset.name, factory=factory)
    assert receipt.exit_code == 0, receipt
    assert_whole(backend.client, receipt.experiment["name"], keys=["right"], children=1)
    lines = log.lines()
    # A worker that came when nothing was left to do has built nothing.
    for worker in {line.pid for line in lines}:
        assert [line.event for line in lines if line.pid == worker and line.item == "model"] == events
    assert {line.pid for line in lines} <= {worker.pid for worker in receipt.workers}


def test_what_is_set_up_when_nothing_is_left_to_do_is_taken_down(
    backend: Backend, run: Run, log: ExecutionLog
) -> None:
    receipt = run("kinds.py:Late", "judges.py:right", dataset=backend.dataset(8).name, workers=3)
    assert receipt.exit_code == 0, receipt
    lines = [line for line in log.lines() if line.item == "model"]
    worked = {line.pid for line in log.lines() if line.event == "begin"}
    assert len(worked) == 1
    for worker in {line.pid for line in lines}:
        assert [line.event for line in lines if line.pid == worker] == ["built", "setup", "teardown"]
    assert {worker.ended for worker in receipt.workers} == {"exited with status 0"}


def test_what_is_set_up_is_taken_down_where_the_experiment_cannot_be_made(
    backend: Backend, run: Run, log: ExecutionLog
) -> None:
    dataset = backend.dataset(4).name
    backend.faults({"match": "POST /sessions", "action": "status", "status": 403})
    try:
        with pytest.raises(EvalrunnerError, match="403"):
            run("kinds.py:AsyncModel", "judges.py:right", dataset=dataset)
    finally:
        backend.faults()
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith(("hears-", "orders-"))]
    assert left == [], "in a notebook they would stay for ever"
    lines = log.lines()
    assert {line.item for line in lines} == {"model"}
    for worker in {line.pid for line in lines}:
        assert [line.event for line in lines if line.pid == worker] == ["setup", "teardown"]


def test_repetitions_and_more_workers_than_examples(backend: Backend, run: Run, log: ExecutionLog) -> None:
    dataset = backend.dataset(3)
    receipt = run("kinds.py:sync", "judges.py:right", dataset=dataset.name, repetitions=3, workers=12)
    assert receipt.exit_code == 0, receipt
    assert len(receipt.workers) == 9
    assert_whole(backend.client, receipt.experiment["name"], keys=["right"], repetitions=3, children=1)
    assert log.counts() == {str(number): 3 for number in range(3)}
    numbers = Counter(item.repetition for item in receipt.items)
    assert numbers == {0: 3, 1: 3, 2: 3}


def test_one_worker(backend: Backend, run: Run, log: ExecutionLog) -> None:
    receipt = run("kinds.py:asynchronous", "judges.py:right", dataset=backend.dataset(25).name, workers=1)
    assert receipt.exit_code == 0, receipt
    assert_whole(backend.client, receipt.experiment["name"], keys=["right"], children=1)
    assert {line.pid for line in log.lines()} == {receipt.workers[0].pid}


@pytest.mark.parametrize("target", ["pools.py:Spawned", "pools.py:Forkserved", "clash/json.py:target"])
def test_process_pools_of_the_target_find_its_functions(backend: Backend, run: Run, target: str) -> None:
    dataset = backend.dataset(3)
    judges = () if "clash" in target else ("pool_judges.py:same_module",)
    receipt = run(target, *judges, dataset=dataset.name, workers=1)
    assert (receipt.exit_code, receipt.states) == (0, {"visible": 3})
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=["same_module"] if judges else [])
    assert sorted((root.outputs or {})["double"] for root in seen.roots) == [0, 2, 4]
    if judges:
        assert [score.score for scores in seen.feedback.values() for score in scores] == [1, 1, 1]


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize(
    "target", ["exits", "raises", "returns", "exits_async", "returns_async", "terminates"]
)
def test_what_a_target_forks_is_no_worker(backend: Backend, run: Run, target: str, at_once: int) -> None:
    dataset = backend.dataset(6)
    receipt = run(
        f"forks.py:{target}",
        "forks.py:judged",
        dataset=dataset.name,
        workers=1,
        max_concurrency=at_once,
        item_timeout=60.0,
    )
    assert (receipt.exit_code, receipt.states, receipt.warnings, receipt.restarts) == (
        0,
        {"visible": 6},
        [],
        0,
    )
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=["judged"])
    assert sorted((root.outputs or {})["code"] for root in seen.roots) == list(range(6))
    assert [score.score for scores in seen.feedback.values() for score in scores] == [1] * 6
