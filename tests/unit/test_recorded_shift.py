"""By how much recorded times move, and the ids that follow from it."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.errors import ConfigError, DataError
from evalrunner.transfer.upload.identity import run_id, score_id
from evalrunner.transfer.upload.shift import DAY, ROOM, SECOND, Extent, Shift, choose, read_shift

NOW = 1_800_000_000 * SECOND + 123_456
PROJECT = "6f1d3c7a-9b55-4d6b-9b1e-0c5e2a4e6e0b"
HOUR = 3600 * SECOND

spans = st.lists(
    st.tuples(st.integers(0, 40 * DAY), st.integers(0, 20 * HOUR)),
    min_size=1,
    max_size=30,
    unique_by=lambda one: one[0],
)


def extent_of(traces: list[tuple[int, int]]) -> Extent:
    ends = [start + length for start, length in traces]
    starts = [start for start, _ in traces]
    return Extent(min(starts), max(ends), max(starts), max(length for _, length in traces))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", ("now", 0)),
        ("trace", ("trace", 0)),
        ("none", ("none", 0)),
        ("36h", ("delta", 36 * HOUR)),
        ("-2d12h", ("delta", -60 * HOUR)),
        ("+90m", ("delta", 90 * 60 * SECOND)),
        ("1.5s", ("delta", 1_500_000)),
        ("0s", ("delta", 0)),
    ],
)
def test_what_a_shift_may_be(text: str, wanted: tuple[str, int]) -> None:
    assert read_shift(text) == wanted


@pytest.mark.parametrize("text", ["", "-", "soon", "1", "h", "1h1d", "1.5h", "--1h", "1s ", "٣h"])
def test_what_a_shift_may_not_be(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--shift takes now, trace, none, or how far"):
        read_shift(text)


@given(spans)
def test_now_moves_everything_by_one_constant_and_the_newest_end_to_now(
    traces: list[tuple[int, int]],
) -> None:
    extent = extent_of(traces)
    if extent.span > ROOM:
        with pytest.raises(DataError, match="--shift trace moves each trace"):
            choose("now", 0, extent, NOW)
        return
    shift = choose("now", 0, extent, NOW)
    assert {shift.of(start) for start, _ in traces} == {shift.constant}
    assert 0 <= NOW - (extent.newest + shift.of(extent.oldest)) < SECOND
    assert (shift.constant or 0) % SECOND == 0


@given(spans)
def test_trace_brings_every_trace_into_the_window_in_the_same_order(traces: list[tuple[int, int]]) -> None:
    shift = choose("trace", 0, extent_of(traces), NOW)
    moved = [(start + shift.of(start), length) for start, length in sorted(traces)]
    assert [start for start, _ in moved] == sorted(start for start, _ in moved)
    for start, length in moved:
        assert NOW - ROOM <= start <= start + length <= NOW


@given(spans, st.sampled_from(["trace", "none", "now"]))
def test_a_shift_is_the_same_after_it_was_written_down(traces: list[tuple[int, int]], mode: str) -> None:
    extent = extent_of(traces)
    if mode == "now" and extent.span > ROOM:
        return
    shift = choose(mode, 0, extent, NOW)  # type: ignore[arg-type]
    again = Shift.from_facts(shift.to_facts())
    assert again == shift
    assert [again.of(start) for start, _ in traces] == [shift.of(start) for start, _ in traces]


@pytest.mark.parametrize(
    "facts", [{}, {"mode": "later"}, {"mode": "now", "pivot": 0, "to": 0, "scale": 1, "whole": 0}]
)
def test_facts_that_are_none(facts: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Shift.from_facts(facts)


@given(st.lists(st.integers(0, 10**16), min_size=2, max_size=20, unique_by=lambda at: at // 1000))
def test_ids_sort_as_the_runs_began(starts: list[int]) -> None:
    ids = [run_id(PROJECT, "t", "r", start) for start in sorted(starts)]
    assert sorted(ids) == ids
    assert all(str(UUID(one)) == one and UUID(one).version == 7 for one in ids)


def test_ids_differ_in_whatever_differs() -> None:
    told = [
        run_id(PROJECT, "t", "r", NOW), run_id(PROJECT, "t", "s", NOW), run_id(PROJECT, "u", "r", NOW),
        run_id("another", "t", "r", NOW), run_id(PROJECT, "tr", "", NOW), run_id(PROJECT, "", "tr", NOW),
        run_id(PROJECT, "t", "r", NOW + 1000),
    ]  # fmt: skip
    assert len(set(told)) == len(told)
    assert told[0] == run_id(PROJECT, "t", "r", NOW)
    scores = [score_id(told[0], None, "k", 0), score_id(told[0], None, "k", 1), score_id(told[0], "k:0", "k", 0),
              score_id(told[1], None, "k", 0), score_id(told[0], None, "l", 0)]  # fmt: skip
    assert len(set(scores)) == len(scores)


@pytest.mark.parametrize("text", ["-999999d", "9999999d", "99999999999999999d", "9" * 5000 + "d"])
def test_an_interval_that_leads_out_of_the_calendar_is_a_mistake(text: str) -> None:
    with pytest.raises(ConfigError, match=r"further than time goes|where no calendar goes"):
        choose(*read_shift(text), Extent(NOW, NOW + HOUR, NOW, HOUR), NOW)
