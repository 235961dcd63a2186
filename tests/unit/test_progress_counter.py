"""Who is slow is named, and nobody else: the notes of the progress line."""

from __future__ import annotations

import pytest

from evalrunner.clock import ManualClock
from evalrunner.engines.scripted import ScriptedEngine
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import ProducedItem
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.items import Item
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.state import SupervisorState
from evalrunner.supervisor.shell.pool import WorkerPool
from evalrunner.supervisor.shell.snapshots import ProgressCounter, loading_note
from tests.support.scripts import Diligent


def a_run() -> tuple[SupervisorState, ProgressCounter]:
    """Two workers: the first executes item 0 since second 10, the second still loads."""
    state = SupervisorState([(number, Item(ItemState.AVAILABLE)) for number in range(4)], Policy(2))
    progress = ProgressCounter(0, 0.0)
    for event in (ev.WorkerStarted(1, 0), ev.WorkerStarted(2, 1), ev.WorkerReady(1, 1), ev.Begun()):
        state.handle(event, 0.0)
    state.handle(ev.Executing(1, {0: 10.0}), 10.0)
    progress.names[0] = "3fa9c1d2"
    return state, progress


@pytest.mark.parametrize(
    ("now", "limit", "note"),
    [
        (69.0, None, ""),
        (71.0, None, "item 3fa9c1d2 has been running for 61 s in worker 0 (no --item-timeout)"),
        (310.0, None, "item 3fa9c1d2 has been running for 5 min in worker 0 (no --item-timeout)"),
        (310.0, 900.0, "item 3fa9c1d2 has been running for 5 min in worker 0 (--item-timeout 900)"),
    ],
)
def test_an_item_that_takes_long_is_named(now: float, limit: float | None, note: str) -> None:
    state, progress = a_run()
    assert progress.slowest_note(state, now, limit) == note


def test_where_all_items_take_long_none_is_slow() -> None:
    state, progress = a_run()
    made = ProducedItem(1, 1, ["r"], [], [], None, [], 50.0)
    progress.write(do.Write(1, ItemState.PRODUCED, "produced", 1, 1, made=made))
    assert progress.slowest_note(state, 400.0, None) == ""
    assert "has been running" in progress.slowest_note(state, 520.0, None)


def test_nothing_is_said_when_nothing_runs() -> None:
    state = SupervisorState([(0, Item(ItemState.AVAILABLE))], Policy(1))
    assert (ProgressCounter(0, 0.0).slowest_note(state, 1e6, None), loading_note(state, 1e6)) == ("", "")


def test_a_worker_that_loads_for_long_is_named() -> None:
    state, _ = a_run()
    assert loading_note(state, 29.0) == ""
    said = "worker 1 has been loading for 45 s; what it prints is in logs/worker-1.log"
    assert loading_note(state, 45.0) == said


@pytest.mark.parametrize(("produced", "told"), [(1, False), (9, False), (10, True)])
def test_the_time_left_is_told_when_there_is_something_to_tell_it_from(produced: int, told: bool) -> None:
    state = SupervisorState([(number, Item(ItemState.AVAILABLE)) for number in range(40)], Policy(2))
    progress = ProgressCounter(0, 0.0)
    for number in range(produced):
        progress.write(do.Write(number, ItemState.PRODUCED, "produced", 1, 1))
    pool = WorkerPool(ScriptedEngine(lambda _: Diligent(), ManualClock()))
    assert (progress.snapshot("running", state, pool, "", 5.0).eta is not None) is told
