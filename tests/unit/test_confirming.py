"""Waiting for items to come back, by a clock that is moved: who is asked for, when, and what an answer means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalrunner.supervisor.shell.confirming import LONGEST_PAUSE, PASS, PAUSE, Confirming
from evalrunner.supervisor.shell.look import Found, Wanted
from evalrunner.verify.readback import Score

BARE = Score("", None, "k", 1.0, None, failed=False, comment=None)


def wanted(numbers: Sequence[int], attempt: int = 1) -> dict[int, Wanted]:
    return {n: Wanted((f"{n}.{attempt}",), (f"{n}.{attempt}.s",)) for n in numbers}


def found(seen: Sequence[int] = (), holes: Sequence[int] = ()) -> Found:
    scores: dict[int, tuple[Score, ...]] = {
        item: (replace(BARE),) for item in seen
    }  # equal, and not the same
    return Found(scores, dict.fromkeys(holes, "its root run does not come back"))


def asked(one: Confirming, now: float) -> list[int]:
    assert one.due(now) == 0.0
    return list(one.take(now))


def answer(one: Confirming, batch: dict[int, Wanted], seen: Sequence[int], now: float) -> list[int]:
    """Have a pass end with these seen, and all others not."""
    told = found(seen, [item for item in batch if item not in seen])
    posted = one.seen(batch, told)
    one.settle(batch, told, now)
    one.rest(now, seen=bool(seen))
    return posted


def test_a_part_of_a_pass_waits_for_company_and_a_whole_one_does_not() -> None:
    one = Confirming(0.0)
    one.want(wanted(range(PASS - 1)))
    assert one.due(0.1) == pytest.approx(PAUSE - 0.1)
    one.want(wanted([PASS]))
    assert len(asked(one, 0.1)) == PASS
    one.want(wanted([PASS + 1]))
    assert one.due(0.1) == pytest.approx(PAUSE)
    assert asked(one, 0.1 + PAUSE) == [PASS + 1]


def test_in_a_hurry_nobody_waits_for_company() -> None:
    one = Confirming(0.0)
    one.hurry()
    assert one.due(0.0) == PAUSE, "there is nobody to ask for"
    one.want(wanted([3]))
    assert asked(one, 0.0) == [3]


def test_where_nobody_waits_a_pass_is_empty_and_the_next_one_waits() -> None:
    one = Confirming(0.0)
    assert asked(one, PAUSE) == []
    assert one.due(PAUSE) == PAUSE


def test_passes_that_see_nothing_come_ever_more_seldom_until_one_sees_something() -> None:
    one = Confirming(0.0)
    one.hurry()
    one.want(wanted([1, 2]))
    now, rests = 0.0, []
    for _ in range(6):
        now += one.due(now)
        batch = one.take(now)
        answer(one, batch, [], now)
        rests.append(one.due(now))
        now += LONGEST_PAUSE  # whoever did not come back waits too
        one.want(wanted([3]))
    assert rests == [PAUSE, 2 * PAUSE, 4 * PAUSE, 8 * PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    batch = one.take(now)
    assert answer(one, batch, list(batch)[:1], now)
    assert one.due(now) <= PAUSE
    assert answer(one, batch, [], now) == []
    assert one.due(now) == PAUSE


def test_what_came_back_waits_until_the_answer_is_settled() -> None:
    one = Confirming(0.0)
    one.want(batch := wanted([1, 2, 3]))
    told = found([1, 3], [2])
    assert one.seen(batch, told) == [1, 3]
    assert one.waiting == 3, "whoever finds an item gone must find the answer posted"
    one.settle(batch, told, 0.0)
    assert one.missed().items == {2: "its root run does not come back"}
    assert one.scores() == {1: (BARE,), 3: (BARE,)}
    assert one.scores()[1] is one.scores()[3]


def test_one_that_is_forgotten_or_wanted_anew_meanwhile_has_no_answer() -> None:
    one = Confirming(0.0)
    one.want(batch := wanted([1, 2, 3]))
    one.forget(1)
    one.want(wanted([2], attempt=2))
    assert answer(one, batch, [1, 2, 3], 0.0) == [3]
    assert one.waiting == 1
    assert list(one.scores()) == [3]


def test_in_an_outage_everybody_says_why_also_those_that_were_not_asked_for() -> None:
    one = Confirming(0.0)
    assert one.missed().items == {}
    one.want(wanted([1, 2]))
    assert set(one.missed().items.values()) == {"it was not asked for in time"}
    batch = wanted([1])
    one.settle(batch, one.fail(batch, "it cannot be read back: 503"), 0.0)
    assert one.missed().items == dict.fromkeys([1, 2], "it cannot be read back: 503")
    one.can_read()
    assert one.missed().items == {1: "it cannot be read back: 503", 2: "it was not asked for in time"}


@settings(max_examples=60)
@given(st.data())
def test_everybody_who_is_wanted_is_seen_once_whatever_comes_back_when(data: Any) -> None:
    one, now, left, posted = Confirming(0.0), 0.0, set[int](), list[int]()
    for number in range(data.draw(st.integers(1, 25))):
        what = data.draw(st.sampled_from(("want", "pass", "fail", "forget")))
        if what == "want":
            one.want(wanted([number, number + 100]))
            left |= {number, number + 100}
        elif what == "forget" and left:
            one.forget(gone := data.draw(st.sampled_from(sorted(left))))
            left.discard(gone)
        else:
            now += one.due(now)
            batch = one.take(now)
            if what == "fail":
                one.settle(batch, one.fail(batch, "503"), now)
                one.rest(now, seen=False)
            else:
                seen = [item for item in batch if data.draw(st.booleans())]
                posted += answer(one, batch, seen, now)
                left -= set(seen)
        assert set(one.missed().items) == left
    one.hurry()
    for _ in range(20 * (len(left) + 1)):
        if not one.waiting:
            break
        now += one.due(now)
        batch = one.take(now)
        posted += answer(one, batch, list(batch), now)
        left -= set(batch)
    assert (one.waiting, left) == (0, set())
    assert len(posted) == len(set(posted))
