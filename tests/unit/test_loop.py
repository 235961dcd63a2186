"""The supervisor's loop over scripted workers: whatever they do, every item has its end, and it is said why."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalrunner.delivery.spool.record import Header, encode_parts
from evalrunner.delivery.spool.writer import SpoolWriter
from evalrunner.engines.scripted import ScriptedWorker
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.messages import Message
from evalrunner.protocol.orders import Begin, Lease, LeasedItem
from evalrunner.protocol.reports import Ack, Leaving, Report
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.shell.pool import STACK_SECONDS
from tests.support.scripts import Dies, Diligent, made, only_first
from tests.support.shell import Start, a_run, runs_in

S = ItemState


@pytest.fixture
def a(tmp_path: Path) -> Iterator[Start]:
    """Make a run; nothing of it is left open."""
    with runs_in(tmp_path) as start:
        yield start


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
