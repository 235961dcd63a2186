"""Which examples: splits, a limit, a version of the dataset, attachments; and the quickstart of a newcomer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, ExecutionLog, Finished, assert_whole, clean_environment, evalrunner

Run = Callable[..., Receipt]


def test_the_quickstart(backend: Backend, command: Callable[..., Finished], tmp_path: Path) -> None:
    assert command("init", "shop").code == 0
    env = backend.environment()
    shop = tmp_path / "shop"
    pushed = evalrunner("dataset", "push", "dataset.jsonl", "--name", "order-desk", cwd=shop, env=env)
    assert pushed.code == 0, pushed.err
    done = evalrunner("run", "--dataset", "order-desk", "--workers", "4", cwd=shop, env=env)
    assert done.code == 0, done.err
    assert "All 246 items are visible; nothing was lost." in done.out
    name = next(line.split()[1] for line in done.out.splitlines() if line.strip().startswith("experiment"))
    keys = ["exact_match", "category_right"]
    seen = assert_whole(backend.client, name, keys=[*keys, "field_precision", "field_recall"])
    assert all(seen.children(root) for root in seen.roots)
    project = backend.client.read_project(project_name=name, include_stats=True)
    assert project.run_count == 246
    assert (project.session_feedback_stats or {})["category_macro_f1"]["n"] == 1


def test_the_same_without_any_service(tmp_path: Path) -> None:
    env = clean_environment(HOME=str(tmp_path))
    for arguments in (
        ["init", "shop"],
        ["dataset", "push", "shop/dataset.jsonl", "--name", "order-desk"],
        ["--dataset", "order-desk", "--limit", "20", "--workers", "2", "--target", "shop/target.py:extract"],
    ):
        done = evalrunner(*arguments, cwd=tmp_path, env=env)
        assert done.code == 0, done.err
    assert "All 20 items are visible" in done.out
    assert done.err.count("using the local backend") == 1


def test_splits_and_a_limit(backend: Backend, run: Run, log: ExecutionLog, tmp_path: Path) -> None:
    dataset = backend.dataset(12, split=lambda number: ["even" if number % 2 == 0 else "odd"])
    receipt = run("kinds.py:sync", "judges.py:right", dataset=dataset.name, splits=("odd",), limit=4)
    assert receipt.exit_code == 0, receipt
    assert {int(item) % 2 for item in log.counts()} == {1}
    assert len(log.begun()) == 4
    name = receipt.experiment["name"]
    seen = assert_whole(backend.client, name, keys=["right"], examples=4)
    assert (seen.project.metadata or {})["dataset_splits"] == ["odd"]
    # The bare command, anywhere, means the same plan.
    again = run("kinds.py:sync", "judges.py:right", experiment=name, run_dir=tmp_path / "elsewhere")
    assert (again.exit_code, again.executions, again.plan["items"]) == (0, 0, 4), again


def test_a_version_of_the_dataset(backend: Backend, run: Run, log: ExecutionLog) -> None:
    dataset = backend.dataset(3)
    version = max(e.modified_at for e in backend.client.list_examples(dataset_id=dataset.id) if e.modified_at)
    backend.client.create_example(inputs={"i": 99}, outputs={"i": 99}, dataset_id=dataset.id)
    receipt = run("kinds.py:sync", "judges.py:right", dataset=dataset.name, as_of=version.isoformat())
    assert receipt.exit_code == 0, receipt
    assert set(log.counts()) == {"0", "1", "2"}
    project = backend.client.read_project(project_name=receipt.experiment["name"])
    assert datetime.fromisoformat(str((project.metadata or {})["dataset_version"])) == version


@pytest.mark.parametrize("repetitions", [1, 2])
def test_attachments(backend: Backend, run: Run, repetitions: int) -> None:
    dataset = backend.dataset(
        4, attachments=lambda number: {"note": ("text/plain", f"note {number}".encode())}
    )
    receipt = run(
        "troubles.py:reads_attachments",
        "judges.py:length_of_the_note",
        "judges.py:right",
        dataset=dataset.name,
        repetitions=repetitions,
    )
    assert receipt.exit_code == 0, receipt
    keys = ["length_of_the_note", "right"]
    seen = assert_whole(
        backend.client, receipt.experiment["name"], keys=keys, repetitions=repetitions, children=0
    )
    for root in seen.roots:
        assert (root.outputs or {})["text"] == f"note {(root.inputs or {})['i']}"
        scores = {score.key: score.score for score in seen.feedback[root.id]}
        assert scores == {"length_of_the_note": 6, "right": 1}


def test_attachments_that_only_an_evaluator_reads(backend: Backend, run: Run) -> None:
    dataset = backend.dataset(3, attachments=lambda _: {"note": ("text/plain", b"12345678")})
    receipt = run("kinds.py:sync", "judges.py:length_of_the_note", dataset=dataset.name)
    assert receipt.exit_code == 0, receipt
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=["length_of_the_note"])
    assert {score.score for scores in seen.feedback.values() for score in scores} == {8}
