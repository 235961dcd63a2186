"""The supervisor's loop over scripted workers: whatever they do, every item has its end, and it is said why."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalrunner.delivery.spool.record import Header, encode_parts
from evalrunner.delivery.spool.writer import SpoolWriter
from evalrunner.engines.scripted import ScriptedWorker
from evalrunner.errors import TargetError
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.messages import Message
from evalrunner.protocol.orders import Begin, Drain, Lease, LeasedItem, Stop
from evalrunner.protocol.reports import Ack, Leaving, Report, SettingUp, StartFailed
from evalrunner.protocol.worker import COULD_NOT_START, WorkerOrder
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core.events import DatasetGone, ExperimentGone, Renamed
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.supervisor.shell.pool import STACK_SECONDS
from evalrunner.supervisor.shell.progress import Snapshot
from tests.support.scripts import Diligent, made
from tests.support.shell import Run, a_run

S = ItemState
Start = Callable[..., Run]


@pytest.fixture
def a(tmp_path: Path) -> Iterator[Start]:
    """Make a run; nothing of it is left open."""
    runs: list[Run] = []

    def start(*args: Any, **facts: Any) -> Run:
        runs.append(run := Run(tmp_path, *args, **facts))
        return run

    yield start
    for run in runs:
        run.close()


class Dies(Diligent):
    """Dies when it executes an item for the first time that is executed (of all workers).

    Args:
        what: of (worker, item): how it ends there, None: not at all.
    """

    def __init__(self, what: Callable[[ScriptedWorker, LeasedItem], int | None], **facts: Any) -> None:
        super().__init__(**facts)
        self.what = what

    def execute(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
        if (code := self.what(worker, leased)) is not None:
            worker.later(self.seconds, lambda: worker.die(code))
        else:
            super().execute(worker, leased)


def only_first(special: Callable[[], Diligent]) -> Callable[[WorkerOrder], Diligent]:
    """The first worker that is started is special, all others are well."""
    return lambda order: special() if order.worker_id == 1 else Diligent()


# -- all goes well -----------------------------------------------------------------------------------


def test_every_item_is_executed_once_and_seen_and_every_worker_leaves_in_order(a: Start) -> None:
    run = a(items=7, workers=3).run()
    assert run.states() == [S.VISIBLE] * 7
    assert run.executions() == [1] * 7
    assert run.ends() == ["exited with status 0"] * 3
    assert (run.observer.lines, run.context.course.findings) == ([], [])
    assert run.context.pool.handles == {}
    assert run.watch.begun == 1
    assert [view.phase for view in run.observer.views][-1] == "done"
    assert run.observer.views[-1].visible == 7


def test_a_worker_is_told_to_begin_before_it_is_given_anything_and_what_it_is_given_is_written(
    a: Start,
) -> None:
    written: list[ItemState] = []

    class Looks(Diligent):
        def told(self, worker: ScriptedWorker, order: Message) -> None:
            if isinstance(order, Lease):
                states = {row.item: row.state for row in run.ledger.items()}
                written.extend(states[leased.item] for leased in order.items)
            super().told(worker, order)

    run = a(lambda _: Looks(), items=3, workers=1)
    run.run()
    assert set(written) == {S.LEASED}
    (script,) = run.scripts()
    assert isinstance(script, Diligent)
    assert isinstance(script.told_of[0], Begin)
    assert Path(script.told_of[0].spool).parent == run.folder.spool


# -- workers that die --------------------------------------------------------------------------------


def test_an_item_whose_worker_dies_is_executed_again_by_another(a: Start) -> None:
    run = a(only_first(lambda: Dies(lambda *_: -signal.SIGKILL)), items=4, workers=2).run()
    assert run.states() == [S.VISIBLE] * 4
    assert sorted(run.executions()) == [1, 1, 1, 2]
    assert run.state.restarts == 1
    assert run.ends()[0] == "was killed by SIGKILL"
    assert run.observer.lines == [
        "worker 0 was killed by SIGKILL; it held 1 item(s) and was executing 1 of them"
    ]


def test_an_item_that_nobody_survives_gets_an_error_run_and_costs_no_other_item(a: Start) -> None:
    run = a(
        lambda _: Dies(lambda _, leased: 7 if leased.repetition == 0 and leased.item == 2 else None)
    ).run()
    assert run.states() == [S.VISIBLE] * 6
    assert list(run.error_runs.written) == [2]
    assert (
        "2 workers died while they executed it; the last one exited with status 7"
        in run.error_runs.written[2]
    )
    assert run.executions()[1] == 2


def test_what_a_worker_said_before_it_died_counts(a: Start) -> None:
    """The report is on its way when it dies: heard as its last words, after its end was noticed."""

    class Says(Diligent):
        def produce(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
            del worker.board[leased.item]
            worker.die(-signal.SIGSEGV)  # its end overtakes the report
            self.report(worker, Report([made(leased)], [(leased.item, leased.token)]))

    run = a(only_first(Says), items=3, workers=1).run()
    assert run.states() == [S.VISIBLE] * 3
    assert run.executions() == [1, 1, 1]


def test_what_it_had_written_and_not_said_is_read_from_its_spool_and_sent_on(a: Start) -> None:
    class Writes(Diligent):
        def produce(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
            begin = next(order for order in self.told_of if isinstance(order, Begin))
            spool(Path(begin.spool), leased)
            worker.die(-signal.SIGKILL)

    run = a(only_first(Writes), items=2, workers=1).run()
    assert run.states() == [S.VISIBLE] * 2
    assert run.executions() == [1, 1]
    assert [item for item, _ in run.relay.sent] == [1]


def spool(path: Path, leased: LeasedItem) -> None:
    """Write an item's record as a worker does."""
    writer = SpoolWriter(path, info={}, on_durable=lambda _: None, on_error=lambda _: None)
    operation = ("post", leased.run_id, [(f"post.{leased.run_id}", "application/json", b"{}")])
    ops, body = encode_parts(writer.boundary, [operation])
    facts = {
        "runs": [leased.run_id], "others": [], "feedback": [], "error": None, "warnings": [], "seconds": 0.1,
    }  # fmt: skip
    writer.append(Header(leased.item, leased.token, facts, ops), body)
    writer.close()


def test_an_acknowledgment_of_more_than_was_heard_is_not_believed(a: Start) -> None:
    class Swallows(Diligent):
        def leave(self, worker: ScriptedWorker) -> None:
            worker.say(Ack(0, 0, "", produced=9))
            worker.die(0)

    run = a(lambda _: Swallows(), items=1, workers=1).run()
    assert run.observer.lines == ["worker 0: a report of it is missing; its spool is read"]


def test_why_it_ended_itself_is_said_in_its_own_words(a: Start) -> None:
    class Leaves(Diligent):
        def execute(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
            worker.say(Leaving("its spool cannot be written"))
            worker.die(4)

    run = a(only_first(Leaves), items=2, workers=1).run()
    assert run.ends()[0] == "ended itself: its spool cannot be written"
    assert run.states() == [S.VISIBLE] * 2


def test_what_a_dead_workers_target_has_left_is_ended_and_named(a: Start) -> None:
    class Leaves(Dies):
        def born(self, worker: ScriptedWorker) -> None:
            worker.left = ["daemon (pid 5)"]
            super().born(worker)

    run = a(only_first(lambda: Leaves(lambda *_: 1)), items=2, workers=1).run()
    (found,) = run.context.course.findings
    assert "worker 0: its target had left 1 process(es)" in found.text
    assert found.text in run.observer.lines


# -- workers that do not die -------------------------------------------------------------------------


def test_an_item_that_never_ends_is_killed_after_its_stacks_are_written(a: Start) -> None:
    killed: list[float] = []

    class Hangs(Diligent):
        def execute(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
            began, kill = worker.now, worker.kill

            def told() -> None:
                killed.append(worker.now - began)
                kill()

            worker.kill = told  # type: ignore[method-assign]

    run = a(only_first(Hangs), items=2, workers=1, item_timeout=5.0).run()
    assert run.states() == [S.VISIBLE] * 2
    assert run.ends()[0] == "was killed: an item took longer than 5 s"
    assert run.engine.workers[1].dumped == 1
    assert 5.0 + STACK_SECONDS < killed[0] < 7.0


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


def test_a_worker_that_had_finished_and_does_not_end_is_killed(a: Start) -> None:
    class Stays(Diligent):
        def leave(self, worker: ScriptedWorker) -> None:
            """It hangs while it tears down."""

    run = a(lambda _: Stays(), items=1, workers=1).run()
    assert run.states() == [S.VISIBLE]
    assert run.ends() == ["was killed: it had finished and did not end"]


def test_a_worker_that_is_not_understood_is_killed_and_the_others_go_on(a: Start) -> None:
    class Babbles(Diligent):
        def execute(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
            worker.babble("what came through its pipe is no message")

    run = a(only_first(Babbles), items=4, workers=2).run()
    assert run.states() == [S.VISIBLE] * 4
    assert run.ends()[0] == "was killed: what came through its pipe is no message"


def test_a_worker_that_is_stopped_for_long_is_given_up(a: Start) -> None:
    class Stops(Diligent):
        def execute(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
            worker.stopped = True

    run = a(only_first(Stops), items=3, workers=2).run()
    assert run.states() == [S.VISIBLE] * 3
    assert run.ends()[0] == "was killed: it had been stopped (SIGSTOP)"


def test_a_report_on_an_item_that_was_never_given_to_it_ends_a_worker(a: Start) -> None:
    class Lies(Diligent):
        def execute(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
            worker.say(Report(accepted=[(99, 1)]))

    run = a(only_first(Lies), items=2, workers=1).run()
    assert run.ends()[0] == "was killed: it reported on an item that was never given to it"
    assert run.states() == [S.VISIBLE] * 2


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


# -- an end from outside -----------------------------------------------------------------------------


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


# -- the end -----------------------------------------------------------------------------------------


def test_what_does_not_come_back_is_waited_for_until_the_deadline_and_named(a: Start) -> None:
    run = a(items=4, workers=2, visible_deadline=60.0)
    run.confirmer.hidden = {3}
    began = run.clock.monotonic()
    run.run()
    assert run.states() == [S.VISIBLE, S.VISIBLE, S.NOT_VISIBLE, S.VISIBLE]
    assert [row.reason for row in run.ledger.items() if row.reason] == ["it does not come back"]
    assert 60.0 < run.clock.monotonic() - began < 62.0


def test_what_came_back_at_the_last_moment_is_seen(a: Start) -> None:
    run = a(items=2, workers=1, visible_deadline=5.0)
    run.confirmer.hidden = {2}
    missed = run.confirmer.missed

    def late() -> ev.Missed:
        run.context.events.put(ev.Seen((2,)))
        run.confirmer.wanted.clear()
        return missed()

    run.confirmer.missed = late  # type: ignore[method-assign]
    run.run()
    assert run.states() == [S.VISIBLE] * 2


def test_the_same_scripts_make_the_same_run(tmp_path: Path) -> None:
    stories = []
    for name in "ab":
        with a_run(tmp_path / name, only_first(lambda: Dies(lambda *_: 1)), items=8, workers=3) as run:
            run.run()
            stories.append((list(run.ledger.items()), run.ends(), run.observer.views, run.clock.monotonic()))
    assert stories[0] == stories[1]
