"""The supervisor's loop over workers that set up for long, for ever or for nothing, or that cannot start."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalrunner.engines.scripted import ScriptedWorker
from evalrunner.errors import TargetError
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.messages import Message
from evalrunner.protocol.orders import Begin, Drain, Stop
from evalrunner.protocol.reports import SettingUp, StartFailed
from evalrunner.protocol.worker import COULD_NOT_START
from evalrunner.supervisor.setup.scope import Scope
from tests.support.scripts import Diligent, only_first
from tests.support.shell import Start, runs_in

S = ItemState


@pytest.fixture
def a(tmp_path: Path) -> Iterator[Start]:
    """Make a run; nothing of it is left open."""
    with runs_in(tmp_path) as start:
        yield start


class Loads(Diligent):
    """Loads for ever."""

    def born(self, worker: ScriptedWorker) -> None:
        """Say nothing."""

    def told(self, worker: ScriptedWorker, order: Message) -> None:
        """Hear nothing."""


def test_a_set_up_that_hangs_has_a_limit(a: Start) -> None:
    run = a(lambda _: Loads(), items=1, workers=1, setup_timeout=30.0)
    with pytest.raises(TargetError, match=r"still loading after 30 s \(--setup-timeout\)"):
        run.run()
    assert 1030.0 < run.clock.monotonic() < 1032.0


def test_one_who_still_loads_when_everything_is_executed_is_waited_for_by_nobody(a: Start) -> None:
    run = a(only_first(Loads), items=2, workers=2).run()
    assert run.states() == [S.VISIBLE] * 2
    assert run.ends()[0] == "was not needed any more"
    assert run.clock.monotonic() < 1005.0


class SetsUp(Loads):
    """Sets up for so long, and takes it down again.

    Args:
        seconds: that its set-up takes.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.loads = seconds

    def born(self, worker: ScriptedWorker) -> None:
        worker.say(SettingUp())
        Diligent.born(self, worker)

    def told(self, worker: ScriptedWorker, order: Message) -> None:
        self.told_of.append(order)
        if isinstance(order, (Drain, Stop)):
            worker.later(self.loads, lambda: self.leave(worker))


def test_what_is_being_set_up_when_everything_is_executed_is_taken_down_again(a: Start) -> None:
    late = SetsUp(4.0)
    run = a(only_first(lambda: late), items=2, workers=2).run()
    assert run.states() == [S.VISIBLE] * 2
    assert run.ends() == ["exited with status 0"] * 2
    assert [type(order) for order in late.told_of] == [Begin, Drain]
    assert 1004.0 < run.clock.monotonic() < 1006.0


def test_a_set_up_that_nobody_needs_is_not_waited_for_for_ever(a: Start) -> None:
    run = a(only_first(lambda: SetsUp(1e6)), items=2, workers=2).run()
    assert run.states() == [S.VISIBLE] * 2
    assert "was killed: nobody needed it, and its set-up and tear-down took too long" in run.ends()
    assert run.clock.monotonic() < 1013.0


def test_what_is_set_up_is_taken_down_where_a_run_cannot_begin(
    a: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = {1: SetsUp(1.0), 2: SetsUp(2.0), 3: Loads()}
    run = a(lambda order: scripts[order.worker_id], items=3, workers=3)

    def refused(_: object) -> Scope:
        raise TargetError("no experiment can be made")

    monkeypatch.setattr(run.supervisor, "_begin", refused)
    with pytest.raises(TargetError, match="no experiment can be made"):
        run.run()
    ends = [run.engine.workers[number].exitcode() for number in scripts]
    assert ends == [0, 0, -signal.SIGKILL]
    assert run.clock.monotonic() < 1006.0


def test_a_run_that_is_stopped_while_all_set_up_makes_no_experiment(a: Start) -> None:
    run = a(lambda _: SetsUp(3.0), items=2, workers=2)
    run.asked_to_stop = lambda: int(run.clock.monotonic() > 1001.0)
    run.run()
    assert run.watch.begun == 0
    assert run.ends() == ["exited with status 0"] * 2


# -- workers that cannot start -----------------------------------------------------------------------


class CannotStart(Diligent):
    sure = False

    def born(self, worker: ScriptedWorker) -> None:
        worker.say(StartFailed("RuntimeError: no GPU", "Traceback", self.sure))
        worker.die(COULD_NOT_START)


def test_a_place_that_cannot_start_is_named_and_the_others_go_on(a: Start) -> None:
    run = a(only_first(CannotStart), items=3, workers=2).run()
    assert run.states() == [S.VISIBLE] * 3
    assert run.observer.lines[0] == "worker 0 could not start: RuntimeError: no GPU"
    assert run.ends()[0] == "could not start"


def test_when_no_place_can_start_nothing_was_executed(a: Start) -> None:
    run = a(lambda _: CannotStart(), items=3, workers=2)
    with pytest.raises(TargetError, match=r"^RuntimeError: no GPU$"):
        run.run()
    assert run.executions() == [0, 0, 0]
    assert all(worker.exitcode() is not None for worker in run.engine.workers.values())


def test_one_who_is_sure_that_nobody_can_start_ends_the_run_at_once(a: Start) -> None:
    class Sure(CannotStart):
        sure = True

    run = a(lambda order: Sure() if order.worker_id == 1 else Diligent(loads=60.0), items=3, workers=2)
    with pytest.raises(TargetError, match="no GPU"):
        run.run()
    assert run.clock.monotonic() < 1001.0, "nobody waited for the other one"
    assert all(worker.exitcode() is not None for worker in run.engine.workers.values())


def test_workers_that_die_while_they_load_end_the_run_with_a_sentence(a: Start) -> None:
    class Crashes(Diligent):
        def born(self, worker: ScriptedWorker) -> None:
            worker.die(-signal.SIGSEGV)

    run = a(lambda _: Crashes(), items=2, workers=2)
    with pytest.raises(TargetError, match=r"no worker lived long enough to load the target; see .*logs"):
        run.run()
    assert set(run.ends()) == {"was killed by SIGSEGV"}
