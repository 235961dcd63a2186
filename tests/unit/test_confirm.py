"""Confirming items: every answer arrives, whatever the threads do, and no item hides another."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langsmith.utils import LangSmithAPIError, LangSmithConnectionError

from evalrunner.clock import SYSTEM
from evalrunner.supervisor.core.events import Event, Seen
from evalrunner.supervisor.shell.confirm import PASS, Confirmer, Wanted
from evalrunner.supervisor.shell.confirm_queue import FIRST, FIRST_WAIT, LONGEST_WAIT, ConfirmQueue
from evalrunner.supervisor.shell.look import look
from evalrunner.verify.readback import ReadBack, Score

LIMIT = 60.0


class Experiment:
    """An experiment as the reader shows it; `asked` is called before every answer, with the ids."""

    def __init__(self, asked: Callable[[Sequence[str]], None] = lambda _: None) -> None:
        self.asked = asked
        self.hidden: set[str] = set()
        self.requests = 0

    def seen(self, runs: Sequence[str]) -> set[str]:
        self.requests += bool(runs)
        self.asked(runs)
        return set(runs) - self.hidden

    def scores(self, runs: Sequence[str]) -> Iterator[Score]:
        self.requests += bool(runs)
        self.asked(runs)
        return (score(run) for run in runs if f"{run}.s" not in self.hidden)


def score(run: str) -> Score:
    return Score(f"{run}.s", run, "k", 1.0, None, failed=False, comment="why")


def wanted(numbers: Sequence[int], attempt: int = 1) -> dict[int, Wanted]:
    return {n: Wanted((f"{n}.{attempt}",), (f"{n}.{attempt}.s",)) for n in numbers}


def confirmer(
    experiment: Experiment, post: Callable[[Event], None], note: Callable[[str], None] = lambda _: None
) -> Confirmer:
    return Confirmer(cast(ReadBack, experiment), post, note, SYSTEM)


def left(one: Confirmer, items: int) -> None:
    """Wait until so many are waiting: what came back is posted before it leaves the number."""
    deadline = SYSTEM.monotonic() + LIMIT
    while one.waiting != items and SYSTEM.monotonic() < deadline:
        pass
    assert one.waiting == items


def collect(events: queue.SimpleQueue[Event], items: int) -> list[int]:
    found: list[int] = []
    while len(found) < items:
        event = events.get(timeout=LIMIT)
        assert isinstance(event, Seen)
        found += event.items
    return sorted(found)


def test_an_answer_is_posted_before_its_items_leave_the_table() -> None:
    """Else whoever finds the table empty and the queue empty ends, and the answer is dropped."""
    waiting: queue.SimpleQueue[tuple[Event, int]] = queue.SimpleQueue()
    one = confirmer(Experiment(), lambda event: waiting.put((event, one.waiting)))
    one.want(wanted(range(3)))
    one.hurry()
    event, left = waiting.get(timeout=LIMIT)
    assert event == Seen((0, 1, 2))
    assert left == 3
    one.stop()
    assert one.waiting == 0


def test_what_is_missed_and_what_is_posted_are_all_there_is() -> None:
    """Asked between the service's answer and its posting, too."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    inside, go_on = threading.Event(), threading.Event()
    missed: list[set[int]] = []

    def asked(_: Sequence[str]) -> None:
        inside.set()
        assert go_on.wait(LIMIT)

    def post(event: Event) -> None:
        asker = threading.Thread(target=lambda: missed.append(set(one.missed().items)))
        asker.start()  # while the answer is being posted: it gets the table's lock, and its answer, only afterwards
        events.put(event)
        askers.append(asker)

    askers: list[threading.Thread] = []
    one = confirmer(Experiment(asked), post)
    one.want(wanted(range(4)))
    one.hurry()
    assert inside.wait(LIMIT)
    assert set(one.missed().items) == {0, 1, 2, 3}, "nothing is posted yet"
    go_on.set()
    assert collect(events, 4) == [0, 1, 2, 3]
    one.stop()
    for asker in askers:
        asker.join(LIMIT)
    assert missed == [set()]


@pytest.mark.parametrize("seed", range(4))
def test_whoever_finds_the_table_empty_finds_every_answer_in_the_queue(seed: int) -> None:
    """As the supervisor's loop does, with items that come late, are forgotten and are wanted anew meanwhile."""
    rng = random.Random(seed)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    experiment = Experiment()
    one = confirmer(experiment, events.put)
    one.hurry()
    answered: set[int] = set()
    for turn in range(300):
        fresh = [turn * 10 + n for n in range(rng.randrange(1, 10))]
        one.want(wanted(fresh))
        forgotten = set(rng.sample(fresh, rng.randrange(len(fresh) + 1)))
        for number in forgotten:
            one.forget(number)
        again = {number for number in forgotten if rng.random() < 0.5}
        one.want(wanted(sorted(again), attempt=2))
        waiting = {n for n in fresh if n not in forgotten or n in again}
        if turn % 3 == 0:
            left(one, 0)
        missed = set(one.missed().items)
        while not events.empty():
            event = events.get_nowait()
            assert isinstance(event, Seen)
            answered.update(event.items)
        assert waiting <= answered | missed, turn
    one.stop()


def test_items_that_do_not_come_back_hide_nobody_and_are_named() -> None:
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    experiment = Experiment()
    experiment.hidden = {f"{n}.1" for n in range(PASS)} | {"500.1.s"}
    one = confirmer(experiment, events.put)
    one.want(wanted(range(2 * PASS)))
    assert collect(events, PASS - 1) == [n for n in range(PASS, 2 * PASS) if n != 500]
    left(one, PASS + 1)
    one.hurry()
    experiment.hidden.clear()
    assert len(collect(events, PASS + 1)) == PASS + 1
    one.stop()
    assert one.missed().items == {}


def test_an_item_at_which_the_service_fails_for_ever_costs_itself_only_and_says_why() -> None:
    def asked(runs: Sequence[str]) -> None:
        if "7.1" in runs:
            raise LangSmithAPIError("Server error caused failure to GET /feedback")

    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    one = confirmer(Experiment(asked), events.put)
    one.want(wanted(range(PASS)))
    assert collect(events, PASS - 1) == [n for n in range(PASS) if n != 7]
    (reason,) = one.missed().items.values()
    assert "cannot be read back" in reason
    assert "GET /feedback" in reason
    one.stop()


@pytest.mark.parametrize("error", [LangSmithAPIError("failed: 503"), LangSmithConnectionError("refused")])
def test_in_an_outage_no_item_is_taken_for_the_culprit_and_each_says_why(error: Exception) -> None:
    failing = threading.Event()
    failing.set()

    def asked(_: Sequence[str]) -> None:
        if failing.is_set():
            raise error

    notes: queue.SimpleQueue[str] = queue.SimpleQueue()
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    experiment = Experiment(asked)
    one = confirmer(experiment, events.put, notes.put)
    one.want(wanted(range(2 * PASS)))
    assert "cannot be read back" in notes.get(timeout=LIMIT)
    assert experiment.requests <= 2, "the items are not asked for one by one"
    (reason,) = set(one.missed().items.values())
    assert "cannot be read back" in reason, "those not asked for say it too"
    failing.clear()
    assert len(collect(events, 2 * PASS)) == 2 * PASS
    assert notes.get(timeout=LIMIT) == ""
    one.stop()


def test_scores_that_came_back_are_kept_for_the_receipt_equal_ones_once() -> None:
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    one = confirmer(Experiment(), events.put)
    one.want(wanted(range(PASS)))
    collect(events, PASS)
    one.stop()
    kept = one.scores()
    assert sorted(kept) == list(range(PASS))
    assert kept[0] == (Score("", None, "k", 1.0, None, failed=False, comment=None),)
    assert len({id(scores) for scores in kept.values()}) == 1


def test_a_look_asks_for_scores_of_children_only_where_some_are_missing() -> None:
    asked: list[list[str]] = []
    experiment = Experiment(lambda runs: asked.append(list(runs)))
    batch = {1: Wanted(("a", "b"), ("a.s",)), 2: Wanted(("c", "d"), ("d.s",)), 3: Wanted(("e",), ())}
    found = look(cast(ReadBack, experiment), batch)
    assert asked == [["a", "b", "c", "d", "e"], ["a", "c"], ["d"]]
    assert found.seen.keys() == {1, 2, 3}


# -- the line ----------------------------------------------------------------------------------------


def test_what_did_not_come_back_waits_longer_each_time_and_goes_first_for_a_while() -> None:
    line = ConfirmQueue()
    line.add([1, 2])
    now = 0.0
    for wait in (FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT, 8 * FIRST_WAIT, LONGEST_WAIT, LONGEST_WAIT):
        assert line.take(2, lambda _: True, now) == [1, 2]
        line.again([1, 2], now)
        assert line.ready(now + wait - 0.01) == 0
        now += wait
    young, new = ConfirmQueue(), 0.0
    for tries in range(1, 5):
        young.add([1])
        young.take(1, lambda _: True, new)
        young.again([1], new)
        new += LONGEST_WAIT
        young.add([2])
        assert young.take(9, lambda _: True, new) == ([1, 2] if tries <= FIRST else [2, 1])


def test_one_that_is_asked_for_alone_is_taken_alone() -> None:
    line = ConfirmQueue()
    line.add([1, 2, 3])
    line.take(3, lambda _: True, 0.0)
    line.again([1, 2, 3], 0.0, alone=[2])
    assert [line.take(9, lambda _: True, 9.0) for _ in range(4)] == [[1], [2], [3], []]


@settings(max_examples=60)
@given(st.data())
def test_nobody_is_lost_and_nobody_stands_twice(data: Any) -> None:
    line, now, expected = ConfirmQueue(), 0.0, set[int]()
    for number in range(data.draw(st.integers(1, 30))):
        what = data.draw(st.sampled_from(("add", "take", "drop", "wait")))
        if what == "add":
            line.add([number, *sorted(expected)[:2]])
            expected.add(number)
        elif what == "take":
            taken = line.take(data.draw(st.integers(1, 5)), expected.__contains__, now)
            assert len(set(taken)) == len(taken)
            assert set(taken) <= expected
            line.again(taken, now, alone=taken[: data.draw(st.integers(0, 2))])
        elif what == "drop" and expected:
            gone = data.draw(st.sampled_from(sorted(expected)))
            line.drop(gone)
            expected.discard(gone)
        now += data.draw(st.sampled_from((0.0, 0.6, 6.0)))
    rest: list[int] = []
    while taken := line.take(3, expected.__contains__, now + 2 * LONGEST_WAIT):
        rest += taken
    assert sorted(rest) == sorted(expected)
