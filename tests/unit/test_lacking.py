"""Which evaluators a recorded run lacks: never one that ran without an error and whose scores are there."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from evalrunner.protocol.evaluated import Evaluated, author
from evalrunner.protocol.ids import failure_id, feedback_id
from evalrunner.verify.lacking import Scoring, scoring
from evalrunner.verify.readback import Score

RUN = uuid.uuid4()
NAMES = ("judge", "exact", "judge 2", "")
KEYS = ("quality", "exact", "judge")


def score(key: str, name: str | None, index: int = 0, *, failed: bool = False) -> Score:
    """Return a feedback of an evaluator, or (None) of another tool."""
    if name is None:
        made = uuid.uuid4()
    else:
        made = failure_id(RUN, name, key) if failed else feedback_id(RUN, name, key, index)
    return Score(str(made), str(RUN), key, None if failed else 1.0, None, failed=failed, comment=None)


def lacking(
    scores: Sequence[Score], known: Sequence[Evaluated] = (), keys: Sequence[str] = ()
) -> Scoring | None:
    return scoring(str(RUN), scores, {"judge": list(keys)}, {each.name: each for each in known})


def test_one_that_ran_and_whose_scores_are_there_is_done() -> None:
    ran = [Evaluated("judge", ("quality", "quality"))]
    there = [score("quality", "judge"), score("quality", "judge", 1)]
    assert lacking(there, ran) is None
    todo = lacking(there[:1], ran)
    assert todo is not None
    assert (todo.evaluators, todo.why) == (("judge",), "the score quality of judge is gone")


def test_one_that_had_nothing_to_say_is_done() -> None:
    assert lacking([], [Evaluated("judge")], ["quality"]) is None


def test_one_that_failed_is_lacking_until_a_score_of_it_is_there() -> None:
    failed = [Evaluated("judge", error="ValueError('no')")]
    record = score("judge", "judge", failed=True)
    todo = lacking([record], failed)
    assert todo is not None
    assert (todo.evaluators, todo.stale) == (("judge",), {"judge": [record.id]})
    # Scored from another folder, which died before it removed the record of the error.
    todo = lacking([record, score("quality", "judge")], failed)
    assert todo is not None
    assert (todo.evaluators, todo.stale) == ((), {"judge": [record.id]})


def test_of_a_run_of_another_tool_a_key_that_is_known_is_enough() -> None:
    assert lacking([score("quality", None)], keys=["quality"]) is None
    assert lacking([score("judge", None)]) is None, "while nothing is known of its keys, its name may be one"
    todo = lacking([score("other", None)], keys=["quality"])
    assert todo is not None
    assert (todo.evaluators, todo.standing) == (("judge",), ("other",))


def test_the_targets_own_feedback_is_no_evaluators() -> None:
    todo = lacking([score("quality", "")], keys=["quality"])
    assert todo is not None
    assert (todo.evaluators, todo.standing) == (("judge",), ())


def test_the_record_of_an_error_by_another_tool_is_told_by_its_key() -> None:
    record = score("quality", None, failed=True)
    todo = lacking([record], keys=["quality"])
    assert todo is not None
    assert todo.stale == {"judge": [record.id]}


turns = st.lists(st.sampled_from(KEYS), max_size=3).map(lambda keys: Evaluated("judge", tuple(keys)))
others = st.lists(
    st.builds(score, st.sampled_from(KEYS), st.sampled_from(["exact", "", None]), failed=st.booleans()),
    max_size=4,
)


@given(turns, others)
def test_whatever_else_stands_on_a_run_one_whose_scores_are_there_is_never_repeated(
    turn: Evaluated, beside: list[Score]
) -> None:
    given_ = [
        Score(ident, str(RUN), key, 1.0, None, failed=False, comment=None) for ident, key in turn.scores(RUN)
    ]
    todo = scoring(str(RUN), [*given_, *beside], {"judge": [], "exact": []}, {"judge": turn})
    assert todo is None or "judge" not in todo.evaluators


@given(st.sampled_from(NAMES), st.sampled_from(KEYS), st.integers(0, 2), st.booleans())
def test_an_id_says_whose_it_is(name: str, key: str, index: int, failed: bool) -> None:
    made = score(key, name, index, failed=failed and bool(name))
    assert author(RUN, made.id, key, NAMES, failed=made.failed) == name
    assert author(uuid.uuid4(), made.id, key, NAMES, failed=made.failed) is None
    assert Scoring.from_json(Scoring(("a",), ("b",), {"a": ["c"]}, "d").to_json()).evaluators == ("a",)
