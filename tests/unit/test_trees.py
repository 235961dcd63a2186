"""Recorded runs: whose children they are, and when those are read."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import datetime, timezone
from uuid import UUID, uuid4

import pytest
from langsmith.schemas import Run

from evalrunner.delivery.capture.trees import fill_later, make_trees

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)


def run_of(name: str, order: str, parent: Run | None = None, trace: UUID | None = None) -> Run:
    run_id = uuid4()
    return Run(
        id=run_id, name=name, run_type="chain", start_time=NOW, inputs={}, dotted_order=order,
        trace_id=trace or (parent.trace_id if parent else run_id), parent_run_id=parent.id if parent else None,
    )  # fmt: skip


def names(runs: list[Run] | None) -> list[str]:
    return [run.name for run in runs or []]


def test_children_stand_below_their_parent_in_order() -> None:
    root = run_of("root", "1")
    first, second = run_of("first", "1.1", root), run_of("second", "1.2", root)
    below = run_of("below", "1.2.1", second)
    make_trees([below, second, root, first])
    assert (names(root.child_runs), names(second.child_runs)) == (["first", "second"], ["below"])
    assert first.child_runs == []


def test_children_are_read_once_and_only_when_they_are_asked_for() -> None:
    roots = [run_of("a", "1"), run_of("b", "2")]
    child = run_of("child", "2.1", roots[1])
    reads: list[int] = []

    def read() -> list[Run]:
        reads.append(1)
        return [child]

    found = fill_later(roots, read)
    assert [run.name for run in found] == ["a", "b"]
    assert found[0].model_dump()["name"] == "a"
    assert reads == []
    assert (names(found[0].child_runs), names(found[1].child_runs)) == ([], ["child"])
    assert reads == [1]
    assert isinstance(found[0], Run)


@pytest.mark.parametrize(
    "make",
    [copy.copy, copy.deepcopy, lambda run: run.model_copy(), lambda run: pickle.loads(pickle.dumps(run))],
)
def test_a_copy_has_the_children_too_also_in_another_process(make: Callable[[Run], Run]) -> None:
    root = run_of("a", "1")
    (found,) = fill_later([root], lambda: [run_of("child", "1.1", root)])
    made = make(found)
    assert (made.id, names(made.child_runs)) == (root.id, ["child"])


def test_what_cannot_be_read_is_raised_and_tried_again() -> None:
    root = run_of("a", "1")
    answers: list[Exception | list[Run]] = [OSError("away"), [run_of("child", "1.1", root)]]

    def read() -> list[Run]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    (found,) = fill_later([root], read)
    with pytest.raises(OSError, match="away"):
        names(found.child_runs)
    assert names(found.child_runs) == ["child"]
