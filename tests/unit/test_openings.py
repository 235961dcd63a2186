"""An item of live mode is accepted exactly once, when all its records are, in whichever order they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalrunner.delivery.spool.openings import Openings, is_loose
from evalrunner.delivery.spool.record import Header
from evalrunner.delivery.spool.writer import Entry


def opening(seq: int, item: int) -> Entry:
    return Entry(seq, 0, 0, Header(None, None, {"opening": [item, 1]}, ()))


def own(seq: int, item: int) -> Entry:
    return Entry(seq, 0, 0, Header(item, 1, {}, ()))


LOOSE = Entry(99, 0, 0, Header(None, None, {"about": []}, ()))


@given(st.permutations([0, 1, 2, 3]), st.sets(st.integers(0, 3)))
def test_an_item_is_judged_once_and_last(order: list[int], refused: set[int]) -> None:
    records = [opening(1, 7), opening(2, 7), opening(3, 7), own(4, 7)]
    book = Openings()
    book.promised([*records, LOOSE])
    heard: list[str] = []
    for place, number in enumerate(order):
        record = records[number]
        verdicts = book.refused(record, "422") if number in refused else book.accepted([record, LOOSE])
        heard += ["accepted"] * len(verdicts.accepted) + [why for _, _, why in verdicts.refused]
        assert not verdicts.accepted or place == 3
    if not refused:
        assert heard == ["accepted"]
    elif 3 in refused:
        assert heard == ["422"], "its own record's refusal is its reason"
    else:
        assert heard == ["the post that opens its trace was refused: 422"]


def test_an_item_without_openings_is_judged_at_once() -> None:
    book = Openings()
    book.promised([own(1, 3), opening(2, 4)])
    assert book.accepted([own(1, 3)]).accepted == [(3, 1)]
    assert book.refused(own(5, 6), "no").refused == [(6, 1, "no")]
    assert [is_loose(one.header) for one in (LOOSE, opening(2, 4), own(1, 3))] == [True, False, False]
