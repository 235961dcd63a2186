"""Targets that fail, flee or answer with nonsense: every item is delivered, and what failed is said by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, ExecutionLog, Finished, assert_whole, read_experiment

Run = Callable[..., Receipt]
TARGETS = Path(__file__).resolve().parent / "targets"


def logs(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.glob("logs/*.log"))


def test_a_target_that_raises_for_some(
    backend: Backend, command: Callable[..., Finished], tmp_path: Path, log: ExecutionLog
) -> None:
    dataset = backend.dataset(6)
    done = command(
        *("--dataset", dataset.name, "--workers", "2", "--json", "--run-dir", "run"),
        *("--target", f"{TARGETS}/troubles.py:raises", "--evaluator", f"{TARGETS}/judges.py:silent"),
    )
    assert done.code == 1, done.err
    seen = read_experiment(backend.client, done.receipt["experiment"]["name"])
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    failed = {(root.inputs or {})["i"]: root.error for root in seen.roots if root.error}
    assert set(failed) == {1, 3, 5}
    for number, error in failed.items():
        assert error is not None
        assert f"item {number} is odd" in error
        assert "Traceback" in error
        assert "troubles.py" in error
    assert all(len(seen.children(root)) == 1 for root in seen.roots)
    entries = [item for item in done.receipt["items"] if item["state"] == "failed"]
    assert sorted(item["error"] for item in entries) == [f"ValueError('item {n} is odd')" for n in (1, 3, 5)]
    assert log.counts() == {str(number): 1 for number in range(6)}
    written = logs(tmp_path / "run")
    assert "item 3 is odd" in written
    assert "Traceback" in written
    assert "Traceback" not in done.err


@pytest.mark.parametrize("target", ["leaves", "async_leaves"])
def test_a_target_that_tries_to_end_the_worker(
    backend: Backend, run: Run, log: ExecutionLog, target: str
) -> None:
    dataset = backend.dataset(8)
    receipt = run(f"troubles.py:{target}", "judges.py:silent", dataset=dataset.name)
    assert receipt.exit_code == 1
    assert receipt.restarts == 0
    seen = read_experiment(backend.client, receipt.experiment["name"])
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    errors = {(root.inputs or {})["i"]: str(root.error) for root in seen.roots if root.error}
    names = ("SystemExit", "KeyboardInterrupt", "StopIteration", "CancelledError", "GeneratorExit")
    assert set(errors) == {1, 2, 3, 4, 5}
    for number, name in enumerate(names, 1):
        assert name in errors[number]
    assert log.counts() == {str(number): 1 for number in range(8)}


def test_outputs_that_are_no_json(backend: Backend, run: Run, log: ExecutionLog) -> None:
    dataset = backend.dataset(7)
    receipt = run("troubles.py:strange_outputs", "judges.py:silent", dataset=dataset.name)
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=["silent"])
    assert log.counts() == {str(number): 1 for number in range(7)}
    by_number = {(root.inputs or {})["i"]: root for root in seen.roots}
    states = {item.run_id: item.state for item in receipt.items}
    # A value that cannot be written is a failure of its item, said on the run and in the receipt.
    for number in (0, 3):
        root = by_number[number]
        assert "serial" in str(root.error), (number, root.error)
        assert states[str(root.id)] == "failed"
    assert receipt.exit_code == 1
    assert len(json.dumps((by_number[6].outputs or {})["x"])) > 2_000_000


def test_retry_errors_takes_up_what_failed(backend: Backend, run: Run, log: ExecutionLog) -> None:
    dataset = backend.dataset(6)
    first = run("troubles.py:improves", "judges.py:right", dataset=dataset.name)
    assert first.exit_code == 1
    name = first.experiment["name"]

    again = run("troubles.py:improves", "judges.py:right", experiment=name)
    assert (again.exit_code, again.executions) == (1, 0), (
        "an error is a result, and is not tried again unasked"
    )

    better = run(
        "troubles.py:improves",
        "judges.py:right",
        experiment=name,
        retry_errors=True,
        env={"IMPROVED": "1"},
    )
    assert (better.exit_code, better.executions) == (0, 3), better
    assert log.counts() == {str(n): 1 + n % 2 for n in range(6)}
    seen = read_experiment(backend.client, name)
    good = [root for root in seen.roots if not root.error]
    assert len({root.reference_example_id for root in good}) == len(good) == 6
    assert {item.state for item in better.duplicates} == {"superseded"}
    assert run("troubles.py:improves", "judges.py:right", experiment=name).exit_code == 0
