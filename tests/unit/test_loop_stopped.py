"""The supervisor's loop when somebody stops it, breaks it, or changes its experiment while it goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalrunner.protocol.lease import ItemState
from evalrunner.supervisor.core.events import DatasetGone, ExperimentGone, Renamed
from evalrunner.supervisor.shell.progress import Snapshot
from tests.support.scripts import Diligent
from tests.support.shell import Start, runs_in

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


def test_nobody_outlives_a_supervisor_that_fails(a: Start) -> None:
    run = a(lambda _: Diligent(seconds=60.0), items=6, workers=2)

    def fails(view: Snapshot) -> None:
        raise OSError("the terminal is gone")

    run.observer.snapshot = fails  # type: ignore[method-assign]
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


def test_what_somebody_does_to_the_experiment_is_heeded_in_mid_run(a: Start) -> None:
    run = a(items=6, workers=2)
    run.engine.agenda.add(0.2, lambda: run.context.events.put(Renamed("x", "y")))
    run.engine.agenda.add(0.2, lambda: run.context.events.put(DatasetGone()))
    run.run()
    assert (run.context.scope.name, run.context.course.old_name) == ("y", "x")
    assert len(run.context.course.findings) == len(run.observer.lines) == 2
    assert run.states() == [S.VISIBLE] * 6
