"""The supervisor's loop when somebody stops it, breaks it, or changes its experiment while it goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalrunner.engines.scripted import ScriptedWorker
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.orders import LeasedItem
from evalrunner.protocol.reports import Report
from evalrunner.supervisor.core.events import DatasetGone, ExperimentGone, Renamed
from tests.support.scripts import Diligent, made
from tests.support.shell import Run, Start, runs_in

S = ItemState


@pytest.fixture
def a(tmp_path: Path) -> Iterator[Start]:
    """Make a run; nothing of it is left open."""
    with runs_in(tmp_path) as start:
        yield start


def test_a_stop_lets_what_has_begun_finish_and_begins_nothing(a: Start) -> None:
    run = a(lambda _: Diligent(seconds=2.0), items=6, workers=2)
    run.asked_to_stop = lambda: int(run.clock.monotonic() > 1001.0)
    run.run()
    assert sorted(run.states()) == [S.VISIBLE] * 2 + [S.CANCELLED] * 4
    assert run.ends() == ["exited with status 0"] * 2


def test_a_second_stop_kills_at_once_and_nobody_is_to_blame(a: Start) -> None:
    run = a(lambda _: Diligent(seconds=60.0), items=6, workers=2)
    run.asked_to_stop = lambda: int(run.clock.monotonic() > 1001.0) + int(run.clock.monotonic() > 1002.0)
    run.run()
    assert run.states() == [S.CANCELLED] * 6
    assert run.ends() == ["was killed: the run was stopped twice"] * 2
    assert run.clock.monotonic() < 1003.0
    assert [row.deaths for row in run.ledger.items()] == [0] * 6


def test_what_would_not_end_in_time_is_not_begun_and_the_run_is_over_before(a: Start) -> None:
    run = a(lambda _: Diligent(seconds=2.0), items=8, workers=2, items_end=1005.0)
    run.run()
    assert run.stops.by_clock
    assert sorted(run.states()) == [S.VISIBLE] * 4 + [S.CANCELLED] * 4
    assert run.executions() == [1] * 4 + [0] * 4
    assert run.ends() == ["exited with status 0"] * 2
    assert run.clock.monotonic() < 1005.0


def test_what_ends_in_time_is_executed_to_the_last_item(a: Start) -> None:
    run = a(lambda _: Diligent(seconds=2.0), items=4, workers=2, items_end=1004.5)
    run.run()
    assert run.stops.asked == []
    assert run.states() == [S.VISIBLE] * 4


def test_one_slow_item_does_not_keep_the_quick_ones_from_being_begun(a: Start) -> None:
    class Slow(Diligent):
        def execute(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
            self.seconds = 30.0 if leased.item == 1 else 0.5
            super().execute(worker, leased)

    run = a(lambda _: Slow(), items=66, workers=2, items_end=1034.0)
    run.run()
    assert run.states() == [S.VISIBLE] * 66


def stands_still(run: Run) -> list[float]:
    """Have all stand still for 15 s, once, after a second; what is returned says so."""
    paused: list[float] = []

    def pauses() -> None:
        if not paused and run.clock.monotonic() > 1001.0:
            paused.append(15.0)
            run.clock.advance(15.0)

    run.observer.then = pauses
    return paused


def test_the_time_for_which_all_stood_still_is_charged_to_nobody(a: Start) -> None:
    run = a(lambda _: Diligent(seconds=20.0), items=2, workers=2, item_timeout=10.0)
    paused = stands_still(run)
    run.run()
    assert paused == [15.0]
    assert run.executions() == [1, 1]
    assert run.ends() == ["exited with status 0"] * 2


class Clocked(Diligent):
    """Says how long an item took by the clock, which goes on while all stands still."""

    def produce(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
        took = worker.now - worker.board.pop(leased.item)
        self.report(worker, Report([made(leased, took)], [(leased.item, leased.token)]))
        self.go_on(worker)


def test_nor_does_it_make_items_longer_that_have_to_fit_before_the_end_of_a_job(a: Start) -> None:
    run = a(lambda _: Clocked(seconds=2.0), items=10, workers=2, items_end=1030.0)
    paused = stands_still(run)
    run.run()
    assert paused == [15.0]
    assert run.states() == [S.VISIBLE] * 10


def test_where_every_turn_takes_long_an_item_has_its_limit_all_the_same(a: Start) -> None:
    run = a(lambda _: Diligent(seconds=1e6), items=1, workers=1, item_timeout=10.0, max_attempts=1)

    def slowly() -> None:
        run.clock.advance(4.0)
        assert run.clock.monotonic() < 1100.0, "nobody ends it"

    run.observer.then = slowly
    run.run()
    assert run.ends() == ["was killed: an item took longer than 10 s"]


def test_nobody_outlives_a_supervisor_that_fails(a: Start) -> None:
    run = a(lambda _: Diligent(seconds=60.0), items=6, workers=2)

    def fails() -> None:
        raise OSError("the terminal is gone")

    run.observer.then = fails
    with pytest.raises(OSError, match="the terminal is gone"):
        run.run()
    ends = [worker.exitcode() for worker in run.engine.workers.values()]
    assert len(ends) == 2
    assert set(ends) <= {0, -signal.SIGKILL}, "told to stop, or killed"


def test_a_deleted_experiment_ends_the_run_and_is_the_reason(a: Start) -> None:
    run = a(lambda _: Diligent(seconds=2.0), items=6, workers=2)
    run.confirmer.hidden = set(range(1, 7))
    run.engine.agenda.add(1.0, lambda: run.context.events.put(ExperimentGone("x")))
    run.run()
    assert run.context.course.gone == "the experiment 'x' was deleted while the run went on"
    assert sorted(run.states()) == [S.NOT_VISIBLE] * 2 + [S.CANCELLED] * 4
    assert {row.reason for row in run.ledger.items() if row.state is S.NOT_VISIBLE} == {
        run.context.course.gone
    }


def test_one_that_is_taken_over_kills_what_is_in_flight_and_waits_for_nothing(a: Start) -> None:
    run = a(lambda _: Diligent(seconds=2.0), items=6, workers=2)
    run.confirmer.hidden = set(range(1, 7))
    run.engine.agenda.add(3.0, lambda: setattr(run.context.claim, "lost", "pid 7 on n1"))
    run.run()
    assert run.context.course.taken == "pid 7 on n1"
    assert S.VISIBLE not in run.states()
    assert run.states().count(S.CANCELLED) == 4, "those in flight, and those that nobody had begun"
    assert run.clock.monotonic() < 1000 + 6, "nobody waits for what cannot be seen"


def test_what_somebody_does_to_the_experiment_is_heeded_in_mid_run(a: Start) -> None:
    run = a(items=6, workers=2)
    run.engine.agenda.add(0.2, lambda: run.context.events.put(Renamed("x", "y")))
    run.engine.agenda.add(0.2, lambda: run.context.events.put(DatasetGone()))
    run.run()
    assert (run.context.scope.name, run.context.course.old_name) == ("y", "x")
    assert len(run.context.course.findings) == len(run.observer.lines) == 2
    assert run.states() == [S.VISIBLE] * 6
