"""Evaluators of every form, and what becomes of those that fail."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from evalrunner.report.receipt import EvaluatorEntry, Receipt
from tests.support.rig import Backend, ExecutionLog, assert_whole

Run = Callable[..., Receipt]
COUNT = 9


def entry(receipt: Receipt, key: str) -> EvaluatorEntry:
    return next(one for one in receipt.evaluators if one.key == key)


def test_every_form(backend: Backend, run: Run) -> None:
    receipt = run(
        "kinds.py:sync",
        *(f"judges.py:{name}" for name in ("right", "by_run", "by_values", "several", "judge")),
        dataset=backend.dataset(COUNT).name,
    )
    assert receipt.exit_code == 0, receipt
    keys = ["right", "by_run", "by_values", "several_a", "several_b", "several_c", "judge"]
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=keys, children=1)
    for root in seen.roots:
        scores = {score.key: score for score in seen.feedback[root.id]}
        assert scores["right"].score == 1
        assert scores["by_run"].score == 1, "it sees the child runs"
        assert scores["by_run"].comment == str(root.reference_example_id)
        assert scores["several_b"].score == 0.5
        assert scores["several_c"].value == "fine"
    assert [entry(receipt, "right").mean, entry(receipt, "right").n] == [1.0, COUNT]
    assert entry(receipt, "several_c").values == {"fine": COUNT}
    assert not receipt.warnings


def test_those_that_fail_are_counted_and_cost_no_item(backend: Backend, run: Run, log: ExecutionLog) -> None:
    receipt = run(
        "kinds.py:sync",
        *(f"judges.py:{name}" for name in ("raises", "leaves", "silent", "right")),
        dataset=backend.dataset(COUNT).name,
    )
    assert receipt.exit_code == 5, receipt
    # An evaluator's failure is feedback under its key, and to give nothing is one: the SDK's own rule.
    keys = ["raises", "leaves", "silent", "right"]
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=keys, children=1)
    assert log.counts() == {str(number): 1 for number in range(COUNT)}
    none = entry(receipt, "silent")
    assert (none.n, none.mean, none.errors, none.missing, none.of) == (0, None, COUNT, 0, COUNT)
    for key, word in (("raises", "does not like it"), ("leaves", "SystemExit")):
        told = entry(receipt, key)
        assert (told.n, told.mean, told.errors, told.missing, told.of) == (6, 1.0, 3, 0, COUNT)
        failed = [
            score
            for scores in seen.feedback.values()
            for score in scores
            if score.key == key and score.score is None
        ]
        assert len(failed) == 3
        assert all(word in str(score.comment) for score in failed)


def test_summary_evaluators_run_once_over_the_whole_experiment(backend: Backend, run: Run) -> None:
    receipt = run(
        "kinds.py:sync",
        "judges.py:right",
        dataset=backend.dataset(COUNT).name,
        workers=3,
        summary_evaluators=["judges.py:total", "judges.py:share", "judges.py:summary_that_raises"],
    )
    assert receipt.summary["total"] == sum(range(1, COUNT + 1))
    assert receipt.summary["share"] == 1.0
    (failed,) = receipt.evaluator_errors
    assert (failed.evaluator, failed.error) == ("summary_that_raises", "RuntimeError('no summary today')")
    name = receipt.experiment["name"]
    assert_whole(backend.client, name, keys=["right"], children=1)
    project = backend.client.read_project(project_name=name, include_stats=True)
    stats = project.session_feedback_stats or {}
    assert {key: stats[key]["n"] for key in ("total", "share")} == {"total": 1, "share": 1}


def test_where_only_the_whole_is_judged_the_target_is_not_asked_for(
    backend: Backend, run: Run, tmp_path: Path
) -> None:
    made = run("kinds.py:sync", dataset=backend.dataset(3).name, summary_evaluators=["judges.py:total"])
    options = {"experiment": made.experiment["name"], "run_dir": tmp_path / "again"}
    again = run("nowhere.py:gone", summary_evaluators=["judges.py:total"], **options)
    assert (again.exit_code, again.executions, again.summary) == (0, 0, made.summary)
    wrong = run("kinds.py:sync", summary_evaluators=["judges.py:totla"], **options)
    assert wrong.exit_code == 5
    (failed,) = wrong.evaluator_errors
    assert "judges.py' has no 'totla'" in failed.error
    assert "did you mean total" in failed.error


def test_evaluators_are_traced_like_the_sdk_does(backend: Backend, run: Run) -> None:
    receipt = run("kinds.py:sync", "judges.py:right", dataset=backend.dataset(3).name)
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=["right"])
    sources = [score.feedback_source for scores in seen.feedback.values() for score in scores]
    traced = {(source.metadata or {})["__run"]["run_id"] for source in sources if source}
    assert len(traced) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = list(backend.client.list_runs(id=list(traced)))
    assert {str(one.id) for one in found} == traced
    assert all(one.end_time for one in found)
