"""The truth about evaluators: their errors, their keys, and what is not theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evalrunner.cli.commands.report import load
from evalrunner.report.receipt import EvaluatorEntry, Receipt
from evalrunner.report.text import plain
from tests.e2e.targets import judging
from tests.support.rig import Backend, assert_whole, read_experiment

Run = Callable[..., Receipt]
COUNT = 6
QUOTA = "RuntimeError('judge quota exceeded')"


def entries(receipt: Receipt) -> dict[str, EvaluatorEntry]:
    return {entry.key: entry for entry in receipt.evaluators}


def test_a_judge_that_always_raises_is_said_everywhere(backend: Backend, run: Run, tmp_path: Path) -> None:
    receipt = run("judging.py:target", "judging.py:judge", dataset=backend.dataset(COUNT).name)
    assert receipt.exit_code == 5
    assert receipt.verdict == f"All {COUNT} items are visible. Evaluators failed: judge on {COUNT} items."
    (error,) = receipt.evaluator_errors
    assert (error.evaluator, error.error, len(error.items)) == ("judge", QUOTA, COUNT)
    told = plain(receipt)
    assert told.startswith("COMPLETE, WITH ERRORS")
    assert f"{COUNT} x {QUOTA}" in told
    assert "nothing was lost" not in told
    assert load(tmp_path / "run" / "receipt.json") == receipt
    logs = "".join(path.read_text() for path in (tmp_path / "run" / "logs").glob("worker-*.log"))
    assert 'raise RuntimeError("judge quota exceeded")' in logs
    assert "evaluator judge failed on run" in logs
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=["judge"])
    assert {score.comment for scores in seen.feedback.values() for score in scores} == {QUOTA}


def test_one_that_raises_on_some_is_counted_under_the_key_that_it_really_gives(
    backend: Backend, run: Run
) -> None:
    receipt = run(
        "judging.py:target", "judging.py:judge", dataset=backend.dataset(COUNT).name, env={"BREAKS": "0"}
    )
    assert receipt.exit_code == 5
    row = entries(receipt)["answer_quality"]
    assert (row.evaluator, row.n, row.errors, row.missing, row.none, row.of) == ("judge", 4, 2, 0, 0, COUNT)
    assert set(entries(receipt)) == {"answer_quality"}
    assert [(one.error, len(one.items)) for one in receipt.evaluator_errors] == [(QUOTA, 2)]


def test_a_warning_is_enough_if_it_was_asked_for(backend: Backend, run: Run) -> None:
    receipt = run(
        "judging.py:target",
        "judging.py:judge",
        dataset=backend.dataset(2).name,
        evaluator_errors="warn",
        summary_evaluators=["judging.py:summary"],
    )
    assert receipt.exit_code == 0
    assert receipt.verdict == (
        "All 2 items are visible. Evaluators failed: judge on 2 items, summary on the whole experiment."
    )
    assert {one.evaluator: one.error for one in receipt.evaluator_errors} == {
        "judge": QUOTA,
        "summary": "RuntimeError('no summary today')",
    }


def test_a_summary_evaluator_that_raises_is_the_same_kind(backend: Backend, run: Run, tmp_path: Path) -> None:
    receipt = run(
        "judging.py:target",
        "judging.py:exact",
        dataset=backend.dataset(2).name,
        summary_evaluators=["judging.py:summary"],
    )
    assert receipt.exit_code == 5
    assert "1 x RuntimeError('no summary today')" in plain(receipt)
    assert "no summary today" in (tmp_path / "run" / "logs" / "summary.log").read_text()


def test_an_error_that_cannot_be_printed_has_its_type(backend: Backend, run: Run) -> None:
    receipt = run("judging.py:target", "judging.py:mute", dataset=backend.dataset(2).name)
    (error,) = receipt.evaluator_errors
    assert "Mute" in error.error
    assert "ValueError" in error.error
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=["mute"])
    assert {score.comment for scores in seen.feedback.values() for score in scores} == {error.error}


def test_keys_are_those_that_evaluators_gave(backend: Backend, run: Run, tmp_path: Path) -> None:
    (tmp_path / "mended").touch()
    names = ("judge", "bare_list", "sometimes", "never")
    receipt = run(
        "judging.py:scores_itself",
        *(f"judging.py:{name}" for name in names),
        dataset=backend.dataset(COUNT).name,
    )
    assert receipt.exit_code == 0, receipt
    rows = {
        key: (row.evaluator, row.n, row.errors, row.missing, row.none)
        for key, row in entries(receipt).items()
    }
    assert rows == {
        "answer_quality": ("judge", COUNT, 0, 0, 0),
        "first": ("bare_list", COUNT, 0, 0, 0),
        "second": ("bare_list", COUNT, 0, 0, 0),
        "even": ("sometimes", 3, 0, 0, 3),
    }
    assert receipt.other_feedback == {"own": COUNT, "thumb": COUNT}
    assert "evaluator never gave no score on any item" in receipt.warnings
    project = backend.client.read_project(project_name=receipt.experiment["name"])
    facts = (project.metadata or {})["evalrunner"]
    assert facts["evaluators"] == {
        "judge": ["answer_quality"],
        "bare_list": ["first", "second"],
        "sometimes": ["even"],
        "never": [],
    }
    assert facts["evaluator_keys"] == ["answer_quality", "even", "first", "second"]
    seen = read_experiment(backend.client, receipt.experiment["name"])
    ran = [root.metadata["evalrunner_evaluators"] for root in seen.roots]
    assert [each["sometimes"] for each in ran].count(["even"]) == 3
    assert [each["sometimes"] for each in ran].count([]) == 3


def test_what_no_service_can_take_is_an_error_of_the_evaluator_by_name(backend: Backend, run: Run) -> None:
    count = len(judging.ODD)
    receipt = run(
        "judging.py:target", "judging.py:odd", "judging.py:exact", dataset=backend.dataset(count).name
    )
    assert receipt.exit_code == 5, receipt
    assert receipt.states == {"visible": count}
    assert receipt.restarts == 0
    assert sum(len(one.items) for one in receipt.evaluator_errors) == count
    assert {one.evaluator for one in receipt.evaluator_errors} == {"odd"}
    assert (entries(receipt)["exact"].n, entries(receipt)["odd"].errors) == (count, count)
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=["exact", "odd"])
    kept: list[Any] = [score for scores in seen.feedback.values() for score in scores if score.key == "odd"]
    assert all(score.score is None and score.value is None for score in kept)
    assert len(kept) == count
