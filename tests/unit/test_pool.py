"""The pool of workers: one is heard, killed and let go without the others being asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalrunner.clock import ManualClock
from evalrunner.config import Endpoint, TargetSpec, WorkerConfig
from evalrunner.engines.scripted import ScriptedEngine, ScriptedWorker
from evalrunner.protocol.orders import Begin, Drain
from evalrunner.protocol.reports import Ack, Ready, Report
from evalrunner.protocol.rows import WorkerRow
from evalrunner.protocol.worker import WorkerOrder
from evalrunner.supervisor.shell.pool import DEATH_SECONDS, STACK_SECONDS, STOPPED_LOOKS, WorkerPool
from tests.support.scripts import Diligent


class Stage:
    """A pool over scripts that are all well."""

    def __init__(self, folder: Path, workers: int = 0) -> None:
        self.clock = ManualClock()
        self.engine = ScriptedEngine(lambda _: Diligent(), self.clock, latency=0.01)
        self.pool = WorkerPool(self.engine, self.clock)
        self.folder = folder
        for number in range(1, workers + 1):
            self.start(number)

    def start(self, number: int) -> tuple[int, float]:
        spec = TargetSpec(target="t.py:t", folder=self.folder)
        endpoint = Endpoint("http://127.0.0.1:9", "key")
        order = WorkerOrder(number, number - 1, spec, WorkerConfig(), endpoint, self.folder / "log")
        return self.pool.start(order, self.folder / f"{number}.spool", self.folder / f"{number}.board")

    def worker(self, number: int) -> ScriptedWorker:
        return self.engine.workers[number]

    def heard(self, seconds: float = 1.0) -> list[tuple[int, str]]:
        self.pool.wait(seconds)
        return [(number, type(message).__name__) for number, message in self.pool.hear()]

    def all_ready(self) -> Stage:
        for _ in self.pool.handles:
            assert [kind for _, kind in self.heard()] == ["Ready"]
        return self


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, workers=3).all_ready()


def test_a_worker_is_named_for_ever_by_its_pid_and_birth(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.start(1) == (stage.worker(1).pid, stage.worker(1).born)


def test_those_that_speak_are_heard_and_nobody_else_is_asked(stage: Stage) -> None:
    for number in (1, 3):
        stage.worker(number).receive = lambda: pytest.fail("it has said nothing")  # type: ignore[method-assign]
    stage.worker(2).say(Report(note="hello"))
    assert stage.heard() == [(2, "Report")]
    assert stage.heard() == []
    assert stage.pool.dead() == []


def test_an_order_reaches_its_worker_and_one_to_nobody_is_lost(stage: Stage) -> None:
    stage.pool.send(2, Drain())
    stage.pool.send(99, Drain())
    assert stage.heard() == [(2, "Ack")]
    stage.pool.wait(1.0)
    assert stage.pool.dead() == [2]


def test_a_dead_worker_is_told_of_until_it_is_let_go(stage: Stage) -> None:
    stage.pool.kill(2, "was killed: why")
    for _ in range(2):
        stage.pool.wait(1.0)
        assert stage.pool.dead() == [2]
    assert stage.pool.how_it_ended(2) == "was killed: why"
    assert stage.pool.reap(2).spool.name == "2.spool"
    stage.pool.wait(1.0)
    assert stage.pool.dead() == []
    assert sorted(stage.pool.handles) == [1, 3]


def test_the_first_reason_for_a_kill_is_the_reason(stage: Stage) -> None:
    stage.pool.kill(1, "was killed: first")
    stage.pool.kill(1, "was killed: second")
    stage.pool.kill(99, "was killed: it is not there")
    assert stage.pool.how_it_ended(1) == "was killed: first"
    assert stage.pool.how_it_ended(2) == "was still running"


def test_a_worker_that_is_stuck_has_time_to_write_its_stacks(stage: Stage) -> None:
    stage.pool.kill(1, "was killed: stuck", stack=True)
    assert stage.worker(1).dumped == 1
    stage.pool.kill_due()
    assert stage.heard(STACK_SECONDS / 2) == []
    assert stage.pool.dead() == [], "it may still write"
    stage.clock.advance(STACK_SECONDS)
    stage.pool.kill_due()
    stage.pool.wait(1.0)
    assert stage.pool.dead() == [1]


def test_one_that_ends_by_itself_while_it_is_doomed_is_killed_no_more(stage: Stage) -> None:
    stage.pool.kill(1, "was killed: stuck", stack=True)
    stage.worker(1).die(1)
    stage.pool.wait(1.0)
    stage.pool.reap(1)
    stage.clock.advance(1.0)
    stage.pool.kill_due()


def test_one_that_is_not_understood_is_killed_for_it_after_what_it_said_before(stage: Stage) -> None:
    stage.worker(2).say(Report(note="last"))
    stage.worker(2).babble("it announces a message of -1 bytes")
    assert stage.heard() == [(2, "Report")]
    assert stage.heard() == []
    stage.pool.wait(1.0)
    assert stage.pool.dead() == [2]
    assert stage.pool.how_it_ended(2) == "was killed: it announces a message of -1 bytes"


def test_all_are_killed_and_known_dead(stage: Stage) -> None:
    stage.pool.kill_all("was killed at the end of the run")
    assert all(handle.process.exitcode() is not None for handle in stage.pool.handles.values())


def test_workers_that_do_not_die_are_waited_for_together_and_not_for_ever(stage: Stage) -> None:
    for worker in stage.engine.workers.values():
        worker.kill = lambda: None  # type: ignore[method-assign] # stuck in the kernel
    began = stage.clock.monotonic()
    stage.pool.kill_all("was killed at the end of the run")
    assert stage.clock.monotonic() - began == pytest.approx(DEATH_SECONDS)


def test_a_stopped_worker_is_told_of_when_it_has_been_stopped_for_many_looks_in_a_row(stage: Stage) -> None:
    worker = stage.worker(2)
    worker.rss = 7
    for _ in range(2):
        worker.stopped = True
        for _ in range(STOPPED_LOOKS):
            assert stage.pool.measure() == []
        worker.stopped = False
        assert stage.pool.measure() == []
    worker.stopped = True
    looks = [stage.pool.measure() for _ in range(STOPPED_LOOKS + 1)]
    assert looks[-1] == [2]
    assert stage.pool.handles[2].rss == 7


def test_what_cannot_be_told_at_the_moment_is_told_at_the_next_look(stage: Stage) -> None:
    def fails() -> dict[int, float]:
        raise OSError(24, "Too many open files")

    stage.worker(1).board = {5: 1.0}
    stage.worker(2).executing = fails  # type: ignore[method-assign]
    assert dict(stage.pool.executing()) == {1: {5: 1.0}, 3: {}}


@pytest.mark.parametrize(("books", "clean"), [((1, 1, 0, 0), True), ((2, 1, 0, 0), False)])
def test_one_has_left_in_order_when_all_that_it_acknowledges_was_heard(
    stage: Stage, books: tuple[int, ...], clean: bool
) -> None:
    handle = stage.pool.handles[1]
    assert not handle.left_in_order
    made: Any = object()
    handle.hear(Report(produced=[made], accepted=[(1, 1)]))
    produced, accepted, refused, loose = books
    handle.ack = Ack(0, 0, "", produced, accepted, refused, loose)
    assert handle.left_in_order is clean


def test_of_an_earlier_run_those_are_ended_that_are_not_known_to_have_ended(stage: Stage) -> None:
    stage.engine.earlier = {(10, 1.0), (11, 1.0), (12, 1.0)}
    rows = [
        WorkerRow(1, 1, 0, 10, 1.0, "", None),
        WorkerRow(2, 1, 1, 11, 1.0, "", "exited with status 0"),
        WorkerRow(3, 1, 2, 12, 2.0, "", None),  # another process by now
    ]
    assert stage.pool.end_earlier(rows) == 1
    assert stage.engine.earlier == {(11, 1.0), (12, 1.0)}


def test_what_one_has_left_is_ended_at_its_death_and_the_rest_at_the_end(stage: Stage) -> None:
    for number in (1, 2):
        stage.worker(number).left = [f"daemon {number}"]
    assert stage.pool.end_leftovers(1) == ["daemon 1"]
    assert stage.pool.end_leftovers() == ["daemon 2"]


def test_messages_are_what_was_said(stage: Stage) -> None:
    order = Begin({}, "spool", "board", 2, {"version": "1"}, {"a": [1]})
    stage.pool.send(3, order)
    stage.engine.wait(0.1)
    script = stage.worker(3).script
    assert isinstance(script, Diligent)
    assert script.told_of == [order]
    stage.worker(3).say(said := Ready(1, 8, {"exact": ["exact"]}))
    stage.pool.wait(1.0)
    assert list(stage.pool.hear()) == [(3, said)]
