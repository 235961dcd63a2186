"""One sentence and one number for a whole run."""

from __future__ import annotations

from typing import Any

import pytest

from evalrunner.config import RunConfig, TargetSpec
from evalrunner.exit_codes import ExitCode
from evalrunner.report.receipt import EvaluatorErrors, ItemEntry
from evalrunner.report.verdict import Verdict, judge
from evalrunner.verify.facts import Ending


def ended(**more: Any) -> Ending:
    facts: dict[str, Any] = {"config": RunConfig(TargetSpec("m:f")), **more}
    return Ending(experiment="desk of mine", dataset="desk", **facts)


def verdict(*states: str, stopped: bool = False, plan_only: bool = False) -> Verdict:
    items = [ItemEntry(f"e{n}", 0, 1, f"r{n}", state) for n, state in enumerate(states)]
    return judge(items, [], ended(stopped=stopped, plan_only=plan_only))


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("states", [["visible"], ["visible", "already complete"]])
def test_everything_visible_is_success(states: list[str], stopped: bool) -> None:
    found = verdict(*states, stopped=stopped)
    assert (found.complete, found.exit_code, found.command) == (True, 0, None)
    assert found.sentence == f"All {len(states)} items are visible; nothing was lost."


def test_nothing_to_do_is_success() -> None:
    found = verdict("already complete", "already complete")
    assert (found.complete, found.exit_code, found.command) == (True, 0, None)
    assert found.sentence == "Nothing is missing: all 2 items are visible; 0 executed."


def test_a_failed_item_is_complete_and_not_success() -> None:
    found = verdict("visible", "failed", "already complete")
    assert (found.complete, found.exit_code) == (True, 1)
    assert found.sentence == "All 3 items are delivered and visible; 1 of them failed."
    assert found.command == "evalrunner resume 'desk of mine' --retry-errors"


@pytest.mark.parametrize("state", ["not run", "not visible", "not delivered"])
@pytest.mark.parametrize(("stopped", "code", "why"), [(False, 3, "Not complete"), (True, 4, "Stopped")])
def test_one_open_item_among_many_is_not_success(state: str, stopped: bool, code: int, why: str) -> None:
    found = verdict(*["visible"] * 99, "failed", state, stopped=stopped)
    assert (found.complete, found.exit_code) == (False, code)
    assert (
        found.sentence
        == f"{why}: 100 of 101 items are visible; 1 {state}. Nothing that was produced is lost."
    )
    assert found.command == "evalrunner resume 'desk of mine'"


def test_every_kind_of_open_item_is_counted_by_name() -> None:
    found = verdict("visible", "not run", "not run", "not visible", "not delivered")
    assert found.sentence == (
        "Not complete: 1 of 5 items are visible; 2 not run, 1 not delivered, 1 not visible. "
        "Nothing that was produced is lost."
    )


def test_a_plan_is_no_failure() -> None:
    found = verdict("already complete", "not run", plan_only=True)
    assert (found.complete, found.exit_code, found.command) == (False, 0, None)
    assert found.sentence == "1 of 2 items would be executed; nothing has been."
    assert verdict("already complete", plan_only=True).complete


QUOTA = EvaluatorErrors("judge", "RuntimeError('quota')", ["e0", "e1"])
SUMMARY = EvaluatorErrors("total", "ValueError('no')", [], summary=True)


@pytest.mark.parametrize(
    ("states", "stopped", "code"),
    [
        (["visible", "visible"], False, 5),
        (["already complete", "already complete"], False, 5),
        (["visible", "failed"], False, 1),
        (["visible", "not visible"], False, 3),
        (["visible", "not run"], True, 4),
    ],
)
def test_evaluators_that_failed_are_in_every_sentence_and_decide_last(
    states: list[str], stopped: bool, code: int
) -> None:
    items = [ItemEntry(f"e{n}", 0, 1, f"r{n}", state) for n, state in enumerate(states)]
    found = judge(items, [QUOTA, SUMMARY], ended(stopped=stopped))
    assert found.exit_code == code
    assert found.sentence.endswith("Evaluators failed: judge on 2 items, total on the whole experiment.")
    assert "nothing was lost" not in found.sentence
    assert found.command is not None


def test_a_warning_is_what_it_was_asked_to_be() -> None:
    config = RunConfig(TargetSpec("m:f"), evaluator_errors="warn")
    found = judge([ItemEntry("e", 0, 1, "r", "visible")], [QUOTA], ended(config=config))
    assert (found.complete, found.exit_code) == (True, 0)
    assert found.sentence == "All 1 items are visible. Evaluators failed: judge on 2 items."


def test_the_numbers_are_those_of_the_documentation() -> None:
    assert {each.name: int(each) for each in ExitCode} == {
        "COMPLETE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "INCOMPLETE": 3,
        "INTERRUPTED": 4,
        "EVALUATORS": 5,
        "INTERNAL": 70,
        "BUSY": 75,
    }


@pytest.mark.parametrize(
    "states", [["visible"] * 3, ["not visible", "not run"], ["failed", "already complete"]]
)
def test_nothing_is_complete_in_an_experiment_that_was_deleted(states: list[str]) -> None:
    items = [ItemEntry(f"e{n}", 0, 1, f"r{n}", state) for n, state in enumerate(states)]
    gone = "the experiment 'desk' was deleted while the run went on"
    found = judge(items, [], ended(gone=gone))
    assert (found.complete, found.exit_code) == (False, 3)
    assert gone in found.sentence
    assert found.command == "evalrunner.run(..., dataset='desk')", "from Python"
    both = ended(gone="the dataset 'desk' and with it the experiment 'desk of mine' was deleted")
    assert judge(items, [], both).command is None


@pytest.mark.parametrize(
    ("more", "runs"),
    [(1, "1 complete run more than planned stands"), (218, "218 complete runs more than planned stand")],
)
def test_more_runs_than_planned_are_not_success(more: int, runs: str) -> None:
    items = [ItemEntry(f"e{n}", 0, 1, f"r{n}", "visible") for n in range(3)]
    found = judge(items, [], ended(more=more))
    assert (found.complete, found.exit_code) == (False, ExitCode.INCOMPLETE)
    assert found.sentence == (
        f"Not as planned: all 3 items are visible, but {runs} beside them, and averages count those."
    )
    assert found.command == "evalrunner repair 'desk of mine' --delete-duplicates"
    # What is open comes first: the same command goes on, and this is said when all is there.
    left = judge([*items, ItemEntry("e", 0, 1, None, "not run")], [], ended(more=more))
    assert left.command == "evalrunner resume 'desk of mine'"


@pytest.mark.parametrize(
    ("state", "told"),
    [("not run", "1 of 2 items are visible; 1 not run"), ("visible", "2 of 2 items are visible")],
)
def test_one_that_was_taken_over_is_never_success(state: str, told: str) -> None:
    items = [ItemEntry("e", 0, 1, "r", "visible"), ItemEntry("f", 0, 1, None, state)]
    found = judge(items, [], ended(taken="pid 7 on n1", stopped=True))
    assert (found.complete, found.exit_code, found.command) == (False, ExitCode.BUSY, None)
    assert found.sentence == (
        f"Stopped: {told}. Nothing that was produced is lost. Another evalrunner goes on (pid 7 on n1)."
    )
