"""The life of a worker: every (from, to), and how its end is said in words."""

from __future__ import annotations

import itertools
import signal

import pytest

from evalrunner.errors import IllegalTransition
from evalrunner.protocol.worker import COULD_NOT_START, GAVE_UP, TABLE, WorkerState, check, exit_reason

W = WorkerState
LIVING = [W.STARTING, W.READY, W.BUSY, W.DRAINING, W.DRAINED]
LEGAL = {
    (W.STARTING, W.READY),
    (W.STARTING, W.DRAINING),
    (W.READY, W.BUSY),
    (W.BUSY, W.READY),
    (W.READY, W.DRAINING),
    (W.BUSY, W.DRAINING),
    (W.DRAINING, W.DRAINED),
    (W.DRAINED, W.EXITED),
    (W.STARTING, W.LOST),
    (W.READY, W.LOST),
    (W.BUSY, W.LOST),
    (W.DRAINING, W.LOST),
    (W.DRAINED, W.LOST),
}
PAIRS = list(itertools.product(W, W))


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=[f"{a.value}-{b.value}" for a, b in PAIRS])
def test_every_pair(before: WorkerState, after: WorkerState) -> None:
    if (before, after) in LEGAL:
        assert check(before, after) is after
    else:
        with pytest.raises(IllegalTransition, match=f"from {before.value} to {after.value}"):
            check(before, after)
    assert TABLE == LEGAL


def reachable(start: WorkerState) -> set[WorkerState]:
    found = {start}
    while fresh := {after for before, after in TABLE if before in found} - found:
        found |= fresh
    return found


def test_every_state_is_reachable_and_can_end() -> None:
    assert reachable(W.STARTING) == set(W)
    for state in LIVING:
        assert {W.EXITED, W.LOST} <= reachable(state)
    for state in (W.EXITED, W.LOST):
        assert reachable(state) == {state}


@pytest.mark.parametrize(
    ("exitcode", "words"),
    [
        (None, "was still running"),
        (0, "exited with status 0"),
        (1, "exited with status 1"),
        (COULD_NOT_START, "exited with status 3"),
        (GAVE_UP, "exited with status 4; if it gave up, why is in its log"),
        (-signal.SIGKILL, "was killed by SIGKILL"),
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (-signal.SIGTERM, "was killed by SIGTERM"),
        (-signal.SIGRTMIN - 5, f"was killed by signal {signal.SIGRTMIN + 5}"),
    ],
)
def test_an_end_in_words(exitcode: int | None, words: str) -> None:
    assert exit_reason(exitcode) == words


def test_the_status_of_a_worker_that_cannot_start() -> None:
    assert COULD_NOT_START == 3
