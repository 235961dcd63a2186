"""What changes while a run goes on."""

from __future__ import annotations

from datetime import datetime, timezone
from uuid import UUID

import pytest

from evalrunner.supervisor.core.events import DatasetGone, ExperimentGone, Renamed, TakenOver
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.supervisor.shell.course import Course
from evalrunner.verify.codes import Code


@pytest.fixture
def course() -> Course:
    began = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return Course(Scope(None, UUID(int=1), "x", began, UUID(int=2), "d", 1, (), None, None))


def test_the_first_two_who_are_held_up_are_told_of(course: Course) -> None:
    assert course.note() == ""
    notes = {who: course.noting(who) for who in ("delivery", "read-back", "worker 1")}
    for who, note in notes.items():
        note(f"{who} waits")
    assert course.note() == "delivery waits; read-back waits"
    notes["delivery"]("")
    assert course.note() == "read-back waits; worker 1 waits"


def test_a_new_name_is_the_name_and_the_old_one_is_kept(course: Course) -> None:
    told = course.take(Renamed("x", "y"))
    assert (course.scope.name, course.old_name, course.gone) == ("y", "x", "")
    assert [(one.code, one.text) for one in course.findings] == [(Code.EXPERIMENT_RENAMED, told)]


@pytest.mark.parametrize("with_dataset", [False, True])
def test_nothing_can_be_seen_any_more_of_an_experiment_that_is_gone(
    course: Course, with_dataset: bool
) -> None:
    told = course.take(ExperimentGone("x", dataset=with_dataset))
    assert course.gone == told
    assert told.startswith("the dataset 'd' and with it the experiment") is with_dataset
    assert [one.code for one in course.findings] == [Code.EXPERIMENT_DELETED]


def test_who_has_taken_it_over_is_kept(course: Course) -> None:
    course.take(TakenOver("pid 7 on n1"))
    assert (course.taken, course.gone) == ("pid 7 on n1", "")
    assert [one.code for one in course.findings] == [Code.TAKEN_OVER]


def test_an_experiment_outlives_its_dataset(course: Course) -> None:
    course.take(DatasetGone())
    assert course.gone == ""
    assert [one.code for one in course.findings] == [Code.DATASET_DELETED]
