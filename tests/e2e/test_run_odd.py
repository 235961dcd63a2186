"""Odd targets: refused before anything runs, or delivered whole with what was odd said in the receipt."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalrunner.errors import RunFolderError, TargetError
from evalrunner.protocol.values import NESTING
from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, read_experiment

Run = Callable[..., Receipt]


def test_a_target_that_takes_no_inputs_is_refused_before_anything_runs(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(3)
    with pytest.raises(TargetError, match="cannot be called with an example"):
        run("odd.py:nothing", dataset=dataset.name)
    assert list(backend.client.list_projects(reference_dataset_id=dataset.id)) == []


def test_text_that_no_encoding_holds_is_delivered(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(4)
    receipt = run("odd.py:surrogates", dataset=dataset.name)
    assert (receipt.exit_code, receipt.states) == (1, {"visible": 2, "failed": 2})
    seen = read_experiment(backend.client, receipt.experiment["name"])
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    outputs = [root.outputs for root in seen.roots if not root.error]
    assert all(one and one["number"] is None and one["slashes"] == "\\ud800 \\" for one in outputs)
    assert all("half a pair" in str(item.error) for item in receipt.items if item.state == "failed")


def test_a_tear_down_that_raises_costs_nothing_and_is_said(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(3)
    receipt = run("odd.py:Stumbles", dataset=dataset.name, workers=1)
    assert (receipt.exit_code, receipt.restarts, receipt.workers[0].ended) == (0, 0, "exited with status 0")
    assert any("could not let go" in warning for warning in receipt.warnings)


def test_a_client_of_the_targets_own_is_outside_the_books_and_is_said(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(3)
    receipt = run("odd.py:own_client", dataset=dataset.name, workers=1)
    assert receipt.exit_code == 0
    assert any("outside the books" in warning for warning in receipt.warnings)


def test_an_error_is_taken_up_from_another_folder_under_an_id_that_was_not_used(
    backend: Backend, run: Run, tmp_path: Path
) -> None:
    """The service ignores a second run under one id: the old error would be read back as the new result."""
    dataset = backend.dataset(2)
    first = run("odd.py:heals", dataset=dataset.name)
    assert first.states == {"visible": 1, "failed": 1}
    again = run(
        "odd.py:heals",
        experiment=first.experiment["name"],
        retry_errors=True,
        env={"HEALED": "1"},
        run_dir=tmp_path / "elsewhere",
    )
    assert (again.exit_code, again.states) == (0, {"visible": 1, "already complete": 1})
    seen = read_experiment(backend.client, first.experiment["name"])
    healed = [root for root in seen.roots if (root.outputs or {}).get("healed")]
    assert [(root.inputs or {})["i"] for root in healed] == [0]


def test_a_folder_belongs_to_one_experiment(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(2)
    assert run("odd.py:heals", dataset=dataset.name, env={"HEALED": "1"}).exit_code == 0
    with pytest.raises(RunFolderError, match="belongs to experiment"):
        run("odd.py:heals", dataset=dataset.name)


def test_an_attachment_without_a_type_costs_no_item(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(3)
    receipt = run("odd.py:attaches", dataset=dataset.name, workers=1)
    assert receipt.states == {"visible": 3}
    assert any("attachment 'plot'" in warning for warning in receipt.warnings)


def test_threads_that_the_target_leaves_behind_do_not_hold_the_run(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(3)
    receipt = run("odd.py:leaves_a_thread", dataset=dataset.name, workers=1)
    assert (receipt.exit_code, receipt.workers[0].ended) == (0, "exited with status 0")


def test_what_no_service_takes_fails_its_own_item_by_name_and_nothing_stays_behind(
    backend: Backend, run: Run
) -> None:
    dataset = backend.dataset(25)
    receipt = run("odd.py:unfit", dataset=dataset.name)
    # What an item's own run cannot say fails it: its outputs, its events. The rest is said of it.
    assert receipt.states == {"failed": 10, "visible": 15}, receipt.verdict
    assert receipt.exit_code == 1
    seen = read_experiment(backend.client, receipt.experiment["name"])
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    for item in receipt.items:
        if item.state == "failed":
            assert "cannot be serialised" in str(item.error)
    said = " ".join(receipt.warnings)
    for word in ("metadata.bad", "run child: its outputs", "run child: its inputs", "its events"):
        assert word in said


def test_an_example_that_no_worker_can_take_costs_itself_only(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(3)
    deep: Any = {}
    for _ in range(NESTING + 2):
        deep = {"a": deep}
    backend.client.create_example(inputs=deep, dataset_id=dataset.id)
    receipt = run("kinds.py:sync", dataset=dataset.name, workers=1)
    assert (receipt.exit_code, receipt.states) == (1, {"visible": 3, "failed": 1})
    (failed,) = [item for item in receipt.items if item.state == "failed"]
    assert f"its example cannot be read: nested deeper than {NESTING} levels" in str(failed.error)
    again = run("kinds.py:sync", experiment=receipt.experiment["name"], workers=1)
    assert again.states == {"already complete": 3, "failed": 1} or again.exit_code == 1


def test_what_the_environment_holds_is_nobodys_business(backend: Backend, run: Run) -> None:
    """The SDK puts LANGSMITH_* and LANGCHAIN_* into every run's metadata."""
    dataset = backend.dataset(4)
    key = backend.token
    env = {
        "LANGSMITH_DATABASE_URL": "postgres://me:SECRET@db/x",
        "LANGCHAIN_NOTE": "SECRET",
        "LANGSMITH_PROJECT": f"mine {key}",
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_REVISION_ID": "r17",
        "OWN_PROJECT": f"own of {dataset.name}",
    }
    receipt = run("odd.py:by_own_client", "judges.py:right", dataset=dataset.name, workers=1, env=env)
    assert receipt.states == {"visible": 3, "failed": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        names = (receipt.experiment["name"], "evaluators", env["OWN_PROJECT"])
        runs = {name: list(backend.client.list_runs(project_name=name)) for name in names}
    assert [len(runs[name]) > 3 for name in names] == [True, True, True]
    for found in runs[names[0]] + runs[names[2]]:
        assert found.metadata["revision_id"] == "r17"
        assert found.metadata["LANGSMITH_TRACING"] == "true"
    for found in (one for some in runs.values() for one in some):
        assert "SECRET" not in str(found.extra)
        assert key not in str(found.extra)
        assert "LANGSMITH_ENDPOINT" not in str(found.extra)
