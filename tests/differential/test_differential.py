"""Outputs, errors, children, tags, metadata, tokens, scores, what evaluators saw: as plain `aevaluate` has them."""

from __future__ import annotations

from typing import Any

import plain  # type: ignore[import-not-found]
import pytest
from cases import CALLABLES, JUDGES, RAISING, RETURNS, TRACING, Case  # type: ignore[import-not-found]
from differences import DIFFERENCES  # type: ignore[import-not-found]
from stage import Found, Stage  # type: ignore[import-not-found]


def unexpected(case: Case, found: Found) -> Found:
    """Return the differences that nobody has given a reason for."""
    return [one for one in found if not any(known.covers(case.id, *one) for known in DIFFERENCES)]


#: The cases with most kinds of differences first: the table's test looks for each until it has found one.
ALL = [*JUDGES, *RAISING, *TRACING, *RETURNS, *CALLABLES]
#: The table's test may have to run every case, if it comes first.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_everything_is_recorded_as_plain_aevaluate_does(stage: Stage, case: Case) -> None:
    found = unexpected(case, stage.compare(case))
    assert not found, "\n".join(f"{path}\n  plain {there}\n  ours  {here}" for path, there, here in found)


@pytest.mark.parametrize("known", DIFFERENCES, ids=lambda known: known.path)
def test_every_difference_that_is_allowed_is_still_there(stage: Stage, known: Any) -> None:
    assert any(known.covers(case.id, *one) for case in ALL for one in stage.compare(case)), known.reason


def test_what_plain_aevaluate_posts_late_is_waited_for(stage: Stage) -> None:
    case = next(case for case in CALLABLES if case.shim is plain.awaited)
    stage.backend.faults({"match": "POST /feedback", "action": "delay", "seconds": 0.3})
    try:
        found = stage.plain(case, stage.dataset(case))
    finally:
        stage.backend.faults()
    assert [len(one["scores"]) for one in found.values()] == [2, 2]
