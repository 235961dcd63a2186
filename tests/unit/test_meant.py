"""What an experiment of something else was meant to hold: the rule, and that it does not waver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.verify.meant import Example, Told, choose, made_for, repetitions

MORNING, NOON, EVENING, NIGHT = (f"2026-11-27T{hour}:00:00+00:00" for hour in ("08", "12", "18", "23"))


def dataset(*splits: str, created: str = MORNING) -> list[Example]:
    return [
        Example(str(place), created, created, tuple(each.split("+")))
        for place, each in enumerate(splits or ("base",) * 6)
    ]


def ids(told: Told, examples: list[Example], linked: str, last: str = NOON) -> str:
    return "".join(one.id for one in choose(told, examples, set(linked), last).examples)


@pytest.mark.parametrize(
    ("told", "linked", "meant"),
    [
        (Told(None), "", "012345"),
        (Told(3), "", "012345"),
        (Told(None), "4", "012345"),
        (Told(6), "04", "012345"),
        (Told(9), "04", "012345"),
        (Told(2), "04", "04"),
        (Told(3), "02", "012"),
        (Told(3), "04", "012345"),
        (Told(1), "04", "012345"),
        (Told(None, ("base",)), "04", "012345"),
    ],
)
def test_of_as_many_examples_as_it_was_made_for(told: Told, linked: str, meant: str) -> None:
    assert ids(told, dataset(), linked) == meant


@pytest.mark.parametrize(
    ("told", "linked", "meant"),
    [
        (Told(None, ("a",)), "02", "024"),
        (Told(None, ("a", "c")), "0", "02345"),
        (Told(None, ("b",)), "02", "012345"),
        (Told(3, ("a",)), "02", "024"),
        (Told(4, ("a",)), "04", "012345"),
        (Told(4, ("a",)), "02", "0123"),
        (Told(6, ("a",)), "02", "012345"),
    ],
)
def test_of_the_splits_that_hold_all_that_were_run(told: Told, linked: str, meant: str) -> None:
    assert ids(told, dataset("a", "b", "a+b", "c", "a", "c"), linked) == meant


def test_what_was_added_after_the_last_run_began_was_not_meant() -> None:
    examples = [*dataset("base", "base"), Example("5", EVENING, EVENING), Example("6", NIGHT, NIGHT)]
    assert ids(Told(None, until=MORNING), examples, "0", last=NOON) == "01"
    assert ids(Told(None, until=EVENING), examples, "0", last=NOON) == "015"
    # The clock that ran before the service's: whatever has a run was there.
    assert ids(Told(None, until=MORNING), examples, "05", last=NOON) == "015"
    assert ids(Told(None, until=NOON, fixed=True), examples, "01", last=NIGHT) == "01"
    meant = choose(Told(None, until=MORNING), examples, {"0"}, NOON)
    assert (meant.left_out, meant.until, meant.doubt) == (2, NOON, "")
    assert "added after" in meant.why


def test_a_time_that_is_none_leaves_nothing_out() -> None:
    examples = [Example("0", "", ""), Example("1", "yesterday", ""), Example("2", NIGHT, NIGHT)]
    assert ids(Told(None, until="", fixed=True), examples, "0", last="") == "012"


def test_what_is_not_known_is_said() -> None:
    meant = choose(Told(3), dataset(), {"0", "4"}, NOON)
    assert "3 examples" in meant.doubt
    assert "2 that have runs" in meant.doubt
    assert choose(Told(6), dataset(), {"0", "4"}, NOON).doubt == ""


def then(*examples: Example) -> Callable[[str], list[Example]]:
    """The dataset as it was, whenever that is."""
    return lambda _: list(examples)


@pytest.mark.parametrize("examples", [None, 3])
def test_what_has_left_a_split_since_was_meant_as_it_is_now(examples: int | None) -> None:
    now, told = dataset("a", "b", "b", "a", "b", "c"), Told(examples, ("a",))
    before = dataset("a", "b", "a", "a", "b", "c")
    for linked in ("02", "03", "0"):
        meant = choose(told, now, set(linked), NOON, then(*before))
        assert [one.id for one in meant.examples] == ["0", "2", "3"]
        assert meant.examples[1].splits == ("b",)
        assert (meant.left_out, meant.splits) == (3, ("a",))


def test_what_has_come_into_a_split_since_was_not_meant() -> None:
    now = dataset("a", "a", "b", "b")
    meant = choose(Told(None, ("a",)), now, {"0"}, NOON, then(*dataset("a", "b", "b", "b")))
    assert [one.id for one in meant.examples] == ["0"]


def test_what_has_left_the_dataset_since_is_not_missing() -> None:
    before = dataset("a", "b", "a", "a")
    now = [one for one in before if one.id != "2"]
    for told, linked in ((Told(3, ("a",)), {"0", "3"}), (Told(4), {"0", "1", "3"}), (Told(3), {"0", "1"})):
        meant = choose(told, now, linked, NOON, then(*before))
        assert {one.id for one in meant.examples} == linked
        assert meant.left_out == len(now) - len(linked)
        assert bool(meant.why) == bool(meant.left_out)


def test_of_what_has_left_the_dataset_nothing_is_said() -> None:
    meant = choose(Told(3), dataset()[:3], {"0", "1"}, NOON, then(*dataset()[:4]))
    assert [one.id for one in meant.examples] == ["0", "1", "2"]
    assert (meant.left_out, meant.why) == (0, "")


def test_a_past_that_lacks_what_was_run_is_none() -> None:
    meant = choose(Told(None), dataset(), {"0", "4"}, NOON, then(*dataset()[:2]))
    assert len(meant.examples) == 6


def test_the_past_is_asked_for_only_where_it_decides() -> None:
    asked: list[str] = []

    def past(when: str) -> list[Example]:
        asked.append(when)
        return []

    choose(Told(2), dataset(), {"0", "4"}, NOON, past)
    choose(Told(None), dataset(), set(), NOON, past)
    assert asked == []
    choose(Told(None, until=MORNING), dataset(), {"0"}, NOON, past)
    assert asked == [NOON]


SPLITS = st.sampled_from(["a", "b", "c"])
EXAMPLES = st.lists(
    st.tuples(
        st.sets(SPLITS, min_size=1).map(lambda found: tuple(sorted(found))),
        st.sampled_from([MORNING, NOON, EVENING]),
    ),
    min_size=1,
    max_size=8,
).map(lambda rows: [Example(f"e{n}", created, created, splits) for n, (splits, created) in enumerate(rows)])
TOLD = st.builds(
    Told,
    st.none() | st.integers(1, 9),
    st.sets(SPLITS).map(lambda found: tuple(sorted(found))),
    st.sampled_from(["", MORNING, NOON]),
)


@given(TOLD, EXAMPLES, st.data())
def test_all_that_were_run_were_meant_and_the_next_run_finds_the_same(
    told: Told, examples: list[Example], data: st.DataObject
) -> None:
    linked = data.draw(st.sets(st.sampled_from([one.id for one in examples]), min_size=1))
    # Since then some have changed their splits, and some have gone.
    then = [replace(one, splits=tuple(sorted(data.draw(st.sets(SPLITS, min_size=1))))) for one in examples]
    then += data.draw(
        EXAMPLES.map(lambda some: [replace(one, id=f"gone {one.id}") for one in some]) | st.just([])
    )
    first = choose(told, examples, linked, NOON, lambda _: then)
    meant = [one.id for one in first.examples]
    assert linked <= set(meant)
    assert meant == [one.id for one in examples if one.id in set(meant)]
    assert first.left_out == len(examples) - len(meant)
    assert bool(first.why) == bool(first.left_out)
    # A run of ours completes it and settles what it found; more examples come, and it is looked at again.
    grown = [*examples, Example("late", NIGHT, NIGHT, ("a", "b", "c"))]
    again = choose(replace(told, until=first.until, fixed=True), grown, set(meant), NIGHT, lambda _: then)
    assert [one.id for one in again.examples] == meant
    assert again.left_out == first.left_out + 1


@pytest.mark.parametrize(
    ("session", "metadata", "times"),
    [
        ({}, {}, 1),
        ({"num_repetitions": 2}, {"num_repetitions": 1}, 2),
        ({"num_repetitions": None}, {"num_repetitions": 3}, 3),
        ({"num_repetitions": True}, {"num_repetitions": "4"}, 1),
        ({"num_repetitions": -2}, {"num_repetitions": 0}, 1),
    ],
)
def test_the_session_and_the_last_writer_may_differ_on_repetitions(
    session: dict[str, Any], metadata: dict[str, Any], times: int
) -> None:
    assert repetitions(session, metadata) == times


@pytest.mark.parametrize(
    ("session", "times", "examples"),
    [
        ({}, 1, None),
        ({"num_examples": 7}, 2, 7),
        ({"experiment_progress": {"expected_run_count": 12}}, 2, 6),
        ({"experiment_progress": {"expected_run_count": 7}}, 2, None),
        ({"num_examples": 0, "experiment_progress": None}, 1, None),
        ({"experiment_progress": "soon"}, 1, None),
    ],
)
def test_for_how_many_it_was_made(session: dict[str, Any], times: int, examples: int | None) -> None:
    assert made_for(session, times) == examples
