"""What the evidence leaves of the causes of runs that are not there: never less than it must."""

from __future__ import annotations

import pytest

from evalrunner.doctor.case import Case
from evalrunner.doctor.causes import LOST, SILENT, UNSEEN, Cause
from evalrunner.doctor.evidence import Evidence, Score
from evalrunner.doctor.inside import Inside
from evalrunner.doctor.survey import Root, Survey
from evalrunner.verify.meant import Example, Meant

OTEL = {Cause.OTEL_ONLY: "LANGSMITH_OTEL_ONLY=true"}
COUNT = 6


def survey(there: int, version: str | None = "v") -> Survey:
    """Of six examples e0 .. e5, the first `there` have a complete run."""
    examples = [Example(f"e{number}", "2026-01-01T00:00:00") for number in range(COUNT)]
    roots = [Root(f"r{n}", "target", f"e{n}", "2026-01-02T00:00:00", ended=True) for n in range(there)]
    meant = Meant(examples, "2026-01-02")
    return Survey("x", "id", "d", True, meant, 1, version, (), roots, ())


def scored(*runs: str) -> Evidence:
    return Evidence(scores=[Score(run, "right", None, failed=False) for run in runs])


def of(case: Case, example: str = "e5") -> set[Cause]:
    return set(case.missing({"example": example}).causes)


@pytest.mark.parametrize("version", [None, "v"])
@pytest.mark.parametrize("there", [0, 3])
def test_what_left_nothing_behind_may_have_come_about_in_every_silent_way(
    there: int, version: str | None
) -> None:
    """Forked copies with a loop of their own write no metadata either."""
    why = Case(survey(there, version), Evidence(), None).missing({"example": "e5"})
    assert set(UNSEEN) <= set(why.causes)
    assert not why.certain


def test_scores_of_as_many_runs_as_are_missing_say_that_they_were_executed() -> None:
    case = Case(survey(4), scored("gone-1", "gone-2"), None)
    assert of(case) == {Cause.OTEL_ONLY, *LOST}


def test_scores_of_fewer_leave_the_others_to_everything() -> None:
    case = Case(survey(2), scored("gone-1", "gone-2"), None)
    assert of(case) == {Cause.OTEL_ONLY, *UNSEEN}


def test_what_is_explained_by_itself_needs_no_score() -> None:
    inside = Inside(examples={"e2": Cause.REFUSED, "e3": Cause.REFUSED}, settings=OTEL, logs=1)
    case = Case(survey(2), scored("gone-1", "gone-2"), inside)
    assert (of(case, "e2"), of(case)) == ({Cause.REFUSED}, {Cause.OTEL_ONLY})


@pytest.mark.parametrize(("scores", "others"), [((), frozenset()), (("gone-1",), SILENT)])
def test_a_variable_rules_out_the_silent_causes_only_where_it_may_account_for_all(
    scores: tuple[str, ...], others: frozenset[Cause]
) -> None:
    why = Case(survey(2), scored(*scores), Inside(settings=OTEL, logs=1)).missing({"example": "e5"})
    assert (why.causes[0], set(why.causes), why.certain) == (
        Cause.OTEL_ONLY,
        {Cause.OTEL_ONLY, *others},
        False,
    )
