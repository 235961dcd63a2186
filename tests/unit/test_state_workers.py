"""The supervisor's judgment of workers, by example: starting and replacing them, and how much each gets."""

from __future__ import annotations

import pytest

from evalrunner.protocol.reports import Report
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.items import Item
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.state import SupervisorState
from tests.support.judgment import Desk, S, made, only, states


@pytest.mark.parametrize(("items", "wanted", "started"), [(0, 4, 0), (1, 4, 1), (3, 4, 3), (9, 4, 4)])
def test_never_more_workers_than_items(items: int, wanted: int, started: int) -> None:
    desk = Desk(items, wanted)
    assert [order.slot for order in only(do.StartWorker, desk.said)] == list(range(started))


def test_items_that_are_not_available_are_not_planned() -> None:
    plan = [(1, Item(S.VISIBLE)), (2, Item(S.AVAILABLE)), (3, Item(S.CANCELLED))]
    state = SupervisorState(plan, Policy(4))
    assert state.planned == 1
    assert list(state.ready) == [2]
    assert len(state.first_workers()) == 1


def test_nothing_is_leased_before_the_experiment_exists() -> None:
    desk = Desk(3, 2)
    desk.ready(1)
    assert desk.leases == {}
    out = desk.handle(ev.Begun())
    assert only(do.SendBegin, out) == [do.SendBegin(1)]
    assert isinstance(out[0], do.SendBegin)
    assert desk.grant(1).item == 0
    desk.ready(2)
    assert do.SendBegin(2) in desk.said
    assert desk.grant(2).item == 1


def test_a_lease_is_written_before_it_is_sent() -> None:
    desk = Desk(2).begun(1, concurrency=2)
    sent = next(i for i, order in enumerate(desk.said) if isinstance(order, do.SendLease))
    written = [i for i, order in enumerate(desk.said) if isinstance(order, do.Write)]
    assert len(written) == 2
    assert max(written) < sent
    assert [w.worker for w in only(do.Write, desk.said)] == [1, 1]


def test_a_replacement_takes_the_slot_of_the_dead_while_items_are_left() -> None:
    desk = Desk(3, 2).begun(1, 2)
    out = desk.die(2, desk.grant(2).item)
    assert only(do.StartWorker, out) == [do.StartWorker(1)]
    assert desk.state.restarts == 1


def test_no_replacement_when_no_items_are_left() -> None:
    desk = Desk(2, 2).begun(1, 2)
    desk.produce(1)
    desk.produce(2)
    assert only(do.StartWorker, desk.die(2)) == []
    assert desk.state.restarts == 0


def test_what_is_not_there_for_one_is_not_there_for_any() -> None:
    desk = Desk(3, 2)
    sure = ev.WorkerCouldNotStart(1, "no module 'x'", sure=True)
    assert desk.handle(sure) == [do.Abort("no module 'x'")]


def test_the_run_ends_when_every_place_has_failed_to_start_and_no_sooner() -> None:
    desk = Desk(3, 2)
    out = desk.handle(ev.WorkerCouldNotStart(1, "no GPU"))
    assert out == [do.Say("worker 0 could not start: no GPU")]
    assert only(do.StartWorker, desk.handle(ev.WorkerGone(1, "could not start"))) == []
    assert desk.handle(ev.WorkerCouldNotStart(2, "no GPU")) == [do.Abort("no GPU")]


def test_each_place_is_named_with_its_own_reason() -> None:
    desk = Desk(3, 3)
    desk.handle(ev.WorkerCouldNotStart(1, "no GPU"))
    desk.handle(ev.WorkerCouldNotStart(2, "no licence"))
    (abort,) = only(do.Abort, desk.handle(ev.WorkerCouldNotStart(3, "no GPU")))
    assert abort.error == "worker 0, 2: no GPU; worker 1: no licence"


def test_reasons_that_differ_in_their_logs_only_are_one() -> None:
    desk = Desk(3, 2)
    desk.handle(ev.WorkerCouldNotStart(1, "no GPU (the traceback is in logs/worker-0.log)"))
    gone = desk.handle(ev.WorkerGone(1, "could not start"))
    assert only(do.Say, gone) == [], "it has been said"
    out = desk.handle(ev.WorkerCouldNotStart(2, "no GPU (the traceback is in logs/worker-1.log)"))
    assert out == [do.Abort("no GPU (the traceback is in logs/worker-0.log)")]


def test_a_place_that_cannot_start_costs_the_others_nothing() -> None:
    desk = Desk(3, 2)
    desk.handle(ev.WorkerCouldNotStart(1, "no GPU"))
    desk.handle(ev.WorkerGone(1, "could not start"))
    desk.begun(2)
    for _ in range(3):
        desk.produce(2)
    assert set(states(desk)) == {S.PRODUCED}


def test_loading_has_a_limit_and_the_run_ends_when_nobody_keeps_it() -> None:
    desk = Desk(3, 2, setup_timeout=60.0)
    assert desk.state.loading() == (0, 0.0)
    assert desk.handle(ev.Tick(), now=60.0) == []
    why = "target and evaluators were still loading after 60 s (--setup-timeout)"
    out = desk.handle(ev.Tick(), now=60.1)
    assert out == [do.KillWorker(number, f"was killed: {why}", stack=True) for number in (1, 2)]
    assert desk.handle(ev.Tick(), now=70.0) == []
    desk.die(1)
    desk.die(2)
    assert only(do.Abort, desk.said)[0] == do.Abort(why)


def test_a_worker_that_hangs_while_it_loads_is_not_tried_again_while_others_work() -> None:
    desk = Desk(9, 2, setup_timeout=60.0).begun(1)
    out = desk.handle(ev.Tick(), now=61.0)
    assert [order.worker for order in only(do.KillWorker, out)] == [2]
    assert only(do.StartWorker, desk.die(2)) == []
    assert desk.state.loading() is None


@pytest.mark.parametrize(
    "forged",
    [
        ev.WorkerReady(1, 1),
        ev.WorkerCouldNotStart(1, "bad"),
        ev.Acknowledged(1),
        ev.Reported(1, Report(produced=[made(77, 1)])),
        ev.Reported(1, Report(accepted=[(-1, 1)])),
        ev.Reported(1, Report(refused=[(77, 1, "no")])),
    ],
)
def test_words_that_cannot_be_a_workers_own_cost_that_worker_alone(forged: ev.Event) -> None:
    desk = Desk(5, 2).begun(1, 2)
    before = states(desk)
    (kill,) = desk.handle(forged)
    assert isinstance(kill, do.KillWorker)
    assert (kill.worker, states(desk)) == (1, before)
    assert desk.handle(forged) == [], "once is enough"


def test_a_worker_cannot_speak_for_what_another_holds() -> None:
    desk = Desk(5, 2).begun(1, 2)
    others = desk.grant(2)
    out = desk.handle(ev.Reported(1, Report(produced=[made(others.item, others.token)])))
    assert [order.worker for order in only(do.KillWorker, out)] == [1]
    assert states(desk)[others.item] is S.LEASED


def test_the_slowest_item_is_known_from_the_boards() -> None:
    desk = Desk(5, 2).begun(1, 2)
    assert desk.state.slowest() is None
    desk.handle(ev.Executing(1, {desk.grant(1).item: 7.0, 99: 1.0}))
    desk.handle(ev.Executing(2, {desk.grant(2).item: 3.0}))
    assert desk.state.slowest() == (1, desk.grant(2).item, 3.0)
    desk.produce(2)
    assert desk.state.slowest() == (0, desk.grant(1).item, 7.0)


def test_a_worker_that_cannot_start_beside_one_that_did_does_not_end_the_run() -> None:
    """The target can be loaded: the other is executing with it at this moment."""
    desk = Desk(5, 2).begun(1)
    out = desk.handle(ev.WorkerCouldNotStart(2, "no GPU left"))
    assert only(do.Abort, out) == []
    assert only(do.Say, out) == [do.Say("worker 1 could not start: no GPU left")]


def test_a_worker_that_could_not_start_is_not_started_again() -> None:
    desk = Desk(5, 2).begun(1)
    desk.handle(ev.WorkerCouldNotStart(2, "no GPU left"))
    assert only(do.StartWorker, desk.handle(ev.WorkerGone(2, "could not start"))) == []
    desk.produce(1)
    # The one that is left is replaced like any other: the items must not be left to nobody.
    assert only(do.StartWorker, desk.die(1)) == [do.StartWorker(0)]


def test_the_last_worker_is_replaced_even_if_it_could_not_start() -> None:
    desk = Desk(5, 1).begun(1)
    desk.die(1)
    desk.handle(ev.WorkerCouldNotStart(2, "no GPU left"))
    assert only(do.StartWorker, desk.handle(ev.WorkerGone(2, "could not start"))) == [do.StartWorker(0)]


def test_workers_that_die_in_a_row_without_producing_are_not_replaced_for_ever() -> None:
    desk = Desk(10, 1).begun(1)
    budget = desk.state.policy.futile_deaths
    for worker in range(1, budget + 1):
        assert only(do.StartWorker, desk.die(worker)) == [do.StartWorker(0)], worker
        desk.ready(worker + 1)
    out = desk.die(budget + 1)
    assert only(do.StartWorker, out) == []
    assert set(states(desk)) == {S.CANCELLED}
    assert {w.reason for w in only(do.Write, out) if w.state is S.CANCELLED} == {"workers kept dying"}
    assert desk.state.living() == []
    assert not desk.state.executing


def test_one_produced_item_restores_the_budget() -> None:
    desk = Desk(40, 1).begun(1)
    for worker in range(1, 20):
        desk.produce(worker)
        assert only(do.StartWorker, desk.die(worker)) == [do.StartWorker(0)], worker
        desk.ready(worker + 1)


def test_so_does_one_that_is_found_in_the_spool_of_the_dead() -> None:
    desk = Desk(40, 1).begun(1)
    for worker in range(1, 20):
        grant = desk.grant(worker)
        out = desk.die(worker, spooled=[made(grant.item, grant.token)])
        assert only(do.StartWorker, out) == [do.StartWorker(0)], worker
        desk.ready(worker + 1)


def test_at_first_a_worker_gets_what_it_executes_at_once() -> None:
    desk = Desk(100, 2).begun(1, 2, concurrency=3)
    assert [len(desk.leases[worker]) for worker in (1, 2)] == [3, 3]


def test_a_fast_worker_gets_half_a_second_ahead() -> None:
    desk = Desk(1000).begun(1)
    desk.now = 0.1
    desk.produce(1)  # ten in a second
    assert len(desk.state.workers[1].held) == 1 + 5


def test_a_slow_worker_gets_nothing_ahead() -> None:
    desk = Desk(1000).begun(1)
    desk.now = 2.5
    desk.produce(1)
    assert len(desk.state.workers[1].held) == 1


def test_the_idlest_worker_is_served_first() -> None:
    desk = Desk(3, 2).begun(1, 2)
    desk.produce(2)
    assert desk.grant(2).item == 2
