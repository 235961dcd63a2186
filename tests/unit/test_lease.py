"""The life of an item: every (state, move), legal or not."""

from __future__ import annotations

import itertools

import pytest

from evalrunner.errors import IllegalTransition
from evalrunner.protocol.lease import HELD, IN_SPOOL, TABLE, ItemMove, ItemState, move

S, M = ItemState, ItemMove

#: Written down a second time, on purpose: from, by, to.
LEGAL = {
    (S[state], M[by]): S[after]
    for state, by, after in map(
        str.split,
        """
        AVAILABLE LEASE LEASED
        AVAILABLE CANCEL CANCELLED
        LEASED PRODUCE PRODUCED
        LEASED LOSE RETRYABLE
        LEASED CANCEL CANCELLED
        PRODUCED ACCEPT ACCEPTED
        PRODUCED REFUSE NOT_DELIVERED
        ACCEPTED SEE VISIBLE
        ACCEPTED MISS NOT_VISIBLE
        RETRYABLE RELEASE AVAILABLE
        RETRYABLE GIVE_UP FAILED
        RETRYABLE CANCEL CANCELLED
        FAILED PRODUCE PRODUCED
        NOT_DELIVERED ACCEPT ACCEPTED
        NOT_DELIVERED RELEASE AVAILABLE
        NOT_VISIBLE SEE VISIBLE
        NOT_VISIBLE RELEASE AVAILABLE
        VISIBLE RELEASE AVAILABLE
        CANCELLED RELEASE AVAILABLE
        """.strip().splitlines(),
    )
}
PAIRS = list(itertools.product(S, M))
#: Where an item of a run that has ended may be.
ENDS = {S.VISIBLE, S.NOT_VISIBLE, S.NOT_DELIVERED, S.FAILED, S.CANCELLED}


@pytest.mark.parametrize(("state", "what"), PAIRS, ids=[f"{s.name}-{m.name}" for s, m in PAIRS])
def test_every_pair(state: ItemState, what: ItemMove) -> None:
    before = dict(TABLE)
    if (state, what) in LEGAL:
        assert move(state, what) is LEGAL[(state, what)]
    else:
        with pytest.raises(IllegalTransition, match=f"{state.name} cannot {what.name.lower()}"):
            move(state, what)
    assert before == TABLE


def reachable(start: ItemState) -> set[ItemState]:
    found, todo = {start}, [start]
    while todo:
        here = todo.pop()
        for (state, _), after in TABLE.items():
            if state is here and after not in found:
                found.add(after)
                todo.append(after)
    return found


def test_every_state_is_reachable_from_the_first() -> None:
    assert reachable(S.AVAILABLE) == set(S)


@pytest.mark.parametrize("state", S, ids=lambda state: state.name)
def test_every_state_can_end_well(state: ItemState) -> None:
    assert S.VISIBLE in reachable(state)


@pytest.mark.parametrize("state", sorted(set(S) - ENDS), ids=lambda state: state.name)
def test_no_state_is_a_dead_end(state: ItemState) -> None:
    assert reachable(state) & ENDS


def test_an_item_is_executed_again_only_after_it_is_lost_or_released() -> None:
    """No way leads from what is held, or in a spool, to a second lease without a death or a new plan."""
    to_available = {what for (_, what), after in TABLE.items() if after is S.AVAILABLE}
    assert to_available == {M.RELEASE}
    assert {state for (state, what) in TABLE if what is M.LEASE} == {S.AVAILABLE}
    assert {state for (state, what) in TABLE if what is M.LOSE} == HELD
    assert not any(TABLE.get((state, M.RELEASE)) for state in HELD | {S.PRODUCED, S.ACCEPTED})


def test_the_sets_are_what_they_say() -> None:
    assert {S.LEASED} == HELD
    assert {S.PRODUCED, S.ACCEPTED, S.NOT_DELIVERED, S.NOT_VISIBLE} == IN_SPOOL


def test_numbers_are_those_of_ledgers_on_disk() -> None:
    assert [state.name for state in sorted(S)] == [
        "AVAILABLE", "LEASED", "PRODUCED", "ACCEPTED", "VISIBLE", "RETRYABLE", "FAILED",
        "NOT_DELIVERED", "NOT_VISIBLE", "CANCELLED",
    ]  # fmt: skip
    assert [int(state) for state in sorted(S)] == [0, 1, *range(3, 11)]
