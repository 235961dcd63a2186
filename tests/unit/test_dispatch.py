"""Giving out items costs an event nothing for the workers that it is not about, and nobody is forgotten by it."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from test_state_model import World  # type: ignore[import-not-found]

from evalrunner.engines import scripted
from evalrunner.engines.scripted import ScriptedWorker
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import ProducedItem, Report
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core import state
from evalrunner.supervisor.core.items import Item, ItemBook
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.state import SupervisorState
from evalrunner.supervisor.core.workers import Worker
from evalrunner.supervisor.shell import pool, reclaim
from evalrunner.supervisor.shell.pool import WorkerHandle
from evalrunner.supervisor.shell.reclaim import Reclaimer
from tests.support import world
from tests.support.scripts import Diligent
from tests.support.shell import Run, a_run


class Walks(SupervisorState):
    """Asks every worker at every event whether it has use for an item."""

    def _whom(self, concerned: int | None, sharing: int) -> list[int]:
        return sorted(self._able, key=lambda number: (len(self.workers[number].held), number))


class Both(SupervisorState):
    """Asks those that the event is about, and orders what the one that asks everybody orders."""

    def __init__(self, items: Iterable[tuple[int, Item]], policy: Policy, first_token: int = 1) -> None:
        plan = list(items)
        super().__init__(copy.deepcopy(plan), policy, first_token)
        self.other = Walks(plan, policy, first_token)

    def handle(self, event: ev.Event, now: float) -> list[do.Instruction]:
        ordered = super().handle(event, now)
        assert ordered == self.other.handle(event, now)
        assert self._held == sum(len(worker.held) for worker in self.workers.values())
        return ordered


def test_whoever_is_not_asked_had_no_use_for_an_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the small world of the model, whatever happens there."""
    monkeypatch.setattr(world, "SupervisorState", Both)
    run_state_machine_as_test(
        World, settings=settings(max_examples=150, stateful_step_count=80, deadline=None)
    )


def test_those_that_stay_share_what_others_leave_to_them() -> None:
    one = Both([(number, Item(ItemState.AVAILABLE)) for number in range(41)], Policy(4))
    for number in range(4):
        one.handle(ev.WorkerStarted(number, number), 0.0)
    one.handle(ev.WorkerReady(0, 1), 0.0)
    (lease,) = (each for each in one.handle(ev.Begun(), 0.0) if isinstance(each, do.SendLease))
    made = ProducedItem(lease.grants[0].item, lease.grants[0].token, ["r"], [], [], None, [], 0.01)
    one.handle(ev.Reported(0, Report([made])), 0.01)
    assert len(one.workers[0].held) == 10, "a quick one holds its share; the others still load"
    for number in (1, 2, 3):
        one.handle(ev.WorkerGone(number, "was killed by SIGKILL"), 0.02)
    assert len(one.workers[0].held) > 20


# -- the shell ---------------------------------------------------------------------------------------

WORKERS = 1000


class Touched:
    """Which workers were touched from one wait for news to the next; looks at all of them are made now and then.

    Attributes:
        turns: how many, in each turn that was no such look.
    """

    def __init__(self, run: Run) -> None:
        self.turns: list[int] = []
        self._slots: set[int] = set()
        self._run = run
        self._wait = run.context.pool.wait
        self._looks: tuple[float, ...] = ()
        run.context.pool.wait = self.wait  # type: ignore[method-assign]

    def add(self, slot: int) -> None:
        self._slots.add(slot)

    def wait(self, seconds: float) -> None:
        one = self._run.supervisor
        looks = (one._looked, one._shown, one._measured)
        if looks == self._looks:
            self.turns.append(len(self._slots))
        self._looks = looks
        self._wait(seconds)
        self._slots.clear()


def counted(patch: pytest.MonkeyPatch, told: list[Touched]) -> None:
    """Have whatever the supervisor has of a worker tell when it is touched."""

    def touch(slot: int) -> None:
        for one in told:
            one.add(slot)

    class CountedWorker(Worker):
        def __getattribute__(self, name: str) -> Any:
            touch(object.__getattribute__(self, "slot"))
            return object.__getattribute__(self, name)

        def __setattr__(self, name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

    class CountedHandle(WorkerHandle):
        def __getattribute__(self, name: str) -> Any:
            touch(object.__getattribute__(self, "process").slot)
            return object.__getattribute__(self, name)

    patch.setattr(state, "Worker", CountedWorker)
    patch.setattr(pool, "WorkerHandle", CountedHandle)
    for name in ("receive", "last_words", "executing", "usage", "exitcode", "send", "kill"):
        method = getattr(ScriptedWorker, name)

        def told_of(self: ScriptedWorker, *args: Any, method: Any = method) -> Any:
            touch(self.slot)
            return method(self, *args)

        patch.setattr(scripted.ScriptedWorker, name, told_of)


def test_an_event_touches_the_worker_that_it_is_about_and_no_other_of_a_thousand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Touched] = []
    counted(monkeypatch, told)
    with a_run(
        tmp_path,
        lambda order: Diligent(loads=0.1 + order.slot / 1000, seconds=2.0 + order.slot / 1000),
        items=WORKERS + 200,
        workers=WORKERS,
    ) as run:
        told.append(touched := Touched(run))
        run.run()
        assert set(run.states()) == {ItemState.VISIBLE}
    *turns, drain = sorted(touched.turns)
    assert len(turns) > 2 * WORKERS
    assert max(turns) <= 2
    assert drain == WORKERS, "the last order goes to all of them"


def test_what_may_be_let_go_is_looked_for_where_something_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reclaimer = Reclaimer(tmp_path, keep=False)
    looks: list[object] = []
    plain = reclaim._Spool.let_go

    def look(spool: reclaim._Spool) -> list[int]:
        looks.append(spool)
        return plain(spool)

    monkeypatch.setattr(reclaim._Spool, "let_go", look)
    for worker in range(WORKERS):
        reclaimer.heard_of(worker, 1, 1)
        reclaimer.need(worker, 1, worker)
    reclaimer.let_go()
    looks.clear()
    reclaimer.release(5)
    reclaimer.heard_of(7, 2, 2)
    reclaimer.let_go()
    assert len(looks) == 2


def test_the_next_item_is_found_without_looking_through_what_its_worker_holds() -> None:
    """With a thousand items in one worker's hands that was a sixth of the supervisor's time."""

    looked_at: list[int] = []

    class Number(int):
        def __hash__(self) -> int:
            looked_at.append(int(self))
            return int(self)

    book = ItemBook(
        [(number, Item(ItemState.AVAILABLE)) for number in range(3)], max_attempts=2, first_token=1
    )
    held: set[int] = set(map(Number, range(10, 1000)))
    looked_at.clear()
    assert book.next_for(held) == 0
    assert looked_at == []
