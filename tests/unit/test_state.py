"""The supervisor's judgment of items, by example: deaths, late reports, books, and the end of a run."""

from __future__ import annotations

from itertools import pairwise

import pytest

from evalrunner.protocol.reports import Report
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.items import Item
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.state import SupervisorState
from tests.support.judgment import Desk, S, W, made, only, states


def test_only_what_it_executed_counts_a_death_against_an_item() -> None:
    desk = Desk(3).begun(1, concurrency=3)
    out = desk.die(1, 1)
    assert [desk.state.items[n].deaths for n in range(3)] == [0, 1, 0]
    told = {w.item: w.what for w in only(do.Write, out)}
    assert told == {0: "given back", 1: "lost, to be executed again", 2: "given back"}
    assert list(desk.state.ready) == [0, 1, 2]


def test_an_item_that_was_merely_leased_is_never_given_up() -> None:
    desk = Desk(20, 1, max_attempts=1).begun(1, concurrency=2)
    for worker in range(1, 5):
        desk.produce(worker, 0)
        desk.die(worker, 10_000)
        desk.ready(worker + 1, concurrency=2)
    assert S.FAILED not in states(desk)
    grants = [grant for some in desk.leases.values() for grant in some]
    assert len(grants) > len({grant.item for grant in grants}), "some were leased again"
    assert {grant.attempt for grant in grants} == {1}, "no attempt of theirs has begun"


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_poison_item_kills_exactly_max_attempts_workers(attempts: int) -> None:
    desk = Desk(2, 1, max_attempts=attempts).begun(1)
    for death in range(1, attempts + 1):
        grant = desk.grant(death)
        assert (grant.item, grant.attempt) == (0, death)
        out = desk.die(death, 0)
        if death < attempts:
            assert only(do.WriteErrorRun, out) == []
            desk.ready(death + 1)
    (wanted,) = only(do.WriteErrorRun, out)
    assert (wanted.item, wanted.attempt) == (0, attempts + 1)
    assert (
        wanted.reason
        == f"{attempts} worker{'s' * (attempts > 1)} died while they executed it; the last one was killed by SIGKILL"
    )
    assert wanted.token > grant.token
    assert states(desk)[0] is S.FAILED
    assert desk.state.items[0].token == wanted.token
    # The other one goes on.
    desk.ready(attempts + 1)
    assert desk.grant(attempts + 1).item == 1
    written = desk.handle(ev.ErrorRunWritten(made(0, wanted.token, wanted.reason)))
    assert [(w.item, w.state) for w in only(do.Write, written)] == [(0, S.PRODUCED)]
    desk.handle(ev.SentOn(accepted=((0, wanted.token),)))
    assert states(desk)[0] is S.ACCEPTED
    assert desk.state.items[0].failed


def test_what_lies_in_the_spool_of_the_dead_is_produced_and_not_executed_again() -> None:
    desk = Desk(2).begun(1, concurrency=2)
    first = desk.grant(1, 0)
    out = desk.die(1, first.item, spooled=[made(first.item, first.token)])
    assert [(w.item, w.state) for w in only(do.Write, out)] == [(0, S.PRODUCED), (1, S.AVAILABLE)]
    assert desk.state.items[0].deaths == 0
    assert list(desk.state.ready) == [1]


def test_a_spool_that_says_again_what_was_reported_changes_nothing() -> None:
    desk = Desk(2).begun(1)
    first = desk.grant(1)
    desk.produce(1)
    out = desk.die(1, spooled=[made(first.item, first.token)])
    assert [w.item for w in only(do.Write, out)] == [1]
    assert only(do.Tell, out) == []


def test_each_execution_has_a_fresh_token_and_a_fresh_attempt() -> None:
    desk = Desk(1, 1, first_token=77, max_attempts=9).begun(1)
    seen = [desk.grant(1)]
    for worker in range(1, 4):
        desk.die(worker, 0)
        desk.ready(worker + 1)
        seen.append(desk.grant(worker + 1))
    assert seen[0].token >= 77
    assert all(before.token < after.token for before, after in pairwise(seen))
    assert [grant.attempt for grant in seen] == [1, 2, 3, 4]


def late_reports(item: int, token: int) -> list[ev.Event]:
    return [
        ev.Reported(1, Report(produced=[made(item, token)])),
        ev.Reported(1, Report(accepted=[(item, token)])),
        ev.Reported(1, Report(refused=[(item, token, "no")])),
        ev.SentOn(accepted=((item, token),)),
        ev.SentOn(refused=((item, token, "no"),)),
    ]


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("progress", range(4))
def test_a_late_report_with_an_old_token_is_told_and_changes_nothing(index: int, progress: int) -> None:
    desk = Desk(1).begun(1)
    old = desk.grant(1)
    desk.die(1, 0)
    desk.ready(2)
    new = desk.grant(2)
    if progress > 0:
        desk.produce(2)
    if progress > 1:
        desk.handle(ev.Reported(2, Report(accepted=[(0, new.token)])))
    if progress > 2:
        desk.handle(ev.Seen((0,)))
    before = desk.state.items[0].state
    out = desk.handle(late_reports(0, old.token)[index])
    assert only(do.Write, out) == []
    (told,) = only(do.Tell, out)
    assert (told.item, told.token) == (0, old.token)
    assert told.what.startswith("late: ")
    assert desk.state.items[0].state is before
    assert desk.state.items[0].token == new.token


@pytest.mark.parametrize("index", range(5))
def test_a_report_that_repeats_what_is_known_is_not_even_told(index: int) -> None:
    desk = Desk(1).begun(1)
    grant = desk.grant(1)
    desk.produce(1)
    desk.handle(ev.Reported(1, Report(accepted=[(0, grant.token)])))
    desk.handle(ev.Seen((0,)))
    assert desk.handle(late_reports(0, grant.token)[index]) == []
    assert states(desk) == [S.VISIBLE]


def test_the_way_of_an_item() -> None:
    desk = Desk(1).begun(1)
    token = desk.grant(1).token
    report = Report(produced=[made(0, token, "boom")], accepted=[(0, token)])
    out = desk.handle(ev.Reported(1, report))
    assert [w.state for w in only(do.Write, out)] == [S.PRODUCED, S.ACCEPTED]
    assert only(do.Write, out)[0].made == made(0, token, "boom")
    assert desk.state.items[0].failed
    assert [w.state for w in only(do.Write, desk.handle(ev.Seen((0,))))] == [S.VISIBLE]
    assert desk.handle(ev.Seen((0,))) == []


def test_what_is_refused_keeps_its_reason_and_may_be_accepted_later() -> None:
    desk = Desk(1).begun(1)
    token = desk.grant(1).token
    desk.produce(1)
    out = desk.handle(ev.Reported(1, Report(refused=[(0, token, "422: too deep")])))
    assert [(w.state, w.reason) for w in only(do.Write, out)] == [(S.NOT_DELIVERED, "422: too deep")]
    out = desk.handle(ev.SentOn(accepted=((0, token),)))
    assert [w.state for w in only(do.Write, out)] == [S.ACCEPTED]


def test_what_is_missed_keeps_its_reason_and_may_be_seen_later() -> None:
    desk = Desk(2).begun(1)
    token = desk.grant(1).token
    desk.produce(1)
    desk.handle(ev.Reported(1, Report(accepted=[(0, token)])))
    out = desk.handle(ev.Missed({0: "1 of 2 scores", 1: "not accepted"}))
    assert [(w.item, w.state, w.reason) for w in only(do.Write, out)] == [(0, S.NOT_VISIBLE, "1 of 2 scores")]
    assert [w.state for w in only(do.Write, desk.handle(ev.Seen((0, 1))))] == [S.VISIBLE]
    assert states(desk) == [S.VISIBLE, S.LEASED]


def test_workers_drain_only_when_nobody_holds_anything() -> None:
    desk = Desk(2, 2).begun(1, 2)
    assert only(do.SendDrain, desk.produce(1)) == []
    assert only(do.SendDrain, desk.produce(2)) == [do.SendDrain(1), do.SendDrain(2)]
    assert not desk.state.executing


def test_an_idle_worker_stays_while_another_may_still_lose_its_item() -> None:
    desk = Desk(2, 2).begun(1, 2)
    desk.produce(1)
    lost = desk.grant(2)
    desk.die(2, lost.item)
    assert desk.grant(1).item == lost.item
    assert desk.grant(1).token > lost.token


def test_a_drained_worker_exits_without_a_word_about_its_death() -> None:
    desk = Desk(1).begun(1)
    desk.produce(1)
    desk.handle(ev.Acknowledged(1))
    assert desk.handle(ev.WorkerGone(1, "exited with status 0")) == []
    assert desk.state.workers[1].state is W.EXITED
    assert desk.state.living() == []


def test_stop_cancels_what_nobody_has_and_stops_the_workers() -> None:
    desk = Desk(5, 3).begun(1, 2)
    out = desk.handle(ev.StopAsked())
    assert only(do.SendStop, out) == [do.SendStop(1), do.SendStop(2)]
    assert only(do.SendDrain, out) == [do.SendDrain(3)], "it still loads"
    assert states(desk) == [S.LEASED, S.LEASED, S.CANCELLED, S.CANCELLED, S.CANCELLED]
    assert desk.handle(ev.StopAsked()) == []


def test_what_is_cut_off_by_the_end_of_a_stop_is_told_from_what_was_never_begun() -> None:
    desk = Desk(3, 1, stop_timeout=15.0).begun(1, concurrency=2)
    desk.handle(ev.Executing(1, {0: 0.0}), now=1.0)
    desk.handle(ev.StopAsked(), now=2.0)
    assert only(do.KillWorker, desk.handle(ev.Tick(), now=16.0)) == []
    [kill] = only(do.KillWorker, desk.handle(ev.Tick(), now=17.5))
    assert kill.why == "was killed: the run was stopped, and its time was up"
    assert desk.handle(ev.Tick(), now=18.0) == []
    out = desk.handle(ev.WorkerGone(1, "was killed", suspects=frozenset({0})), now=18.1)
    written = {order.item: (order.what, order.reason) for order in only(do.Write, out)}
    assert written == {
        0: ("cut off", "the run was stopped while it was being executed"),
        1: ("cancelled", "the run was stopped"),
    }


def test_a_stopped_worker_finishes_what_it_has_begun_and_gives_back_the_rest() -> None:
    desk = Desk(2).begun(1, concurrency=2)
    desk.handle(ev.StopAsked())
    desk.produce(1, 0)
    assert only(do.Write, desk.handle(ev.Acknowledged(1))) == [], "its spool may know more"
    out = desk.handle(ev.WorkerGone(1, "exited with status 0"))
    assert [(w.item, w.state) for w in only(do.Write, out)] == [(1, S.CANCELLED)]
    assert states(desk) == [S.PRODUCED, S.CANCELLED]
    assert not desk.state.executing
    assert desk.state.restarts == 0


def test_what_an_acknowledgment_came_without_is_found_in_the_spool() -> None:
    desk = Desk(3).begun(1, concurrency=3)
    desk.handle(ev.StopAsked())
    grants = [desk.grant(1, number) for number in range(3)]
    desk.handle(ev.Acknowledged(1))
    spooled = tuple(made(grant.item, grant.token) for grant in grants[:2])
    desk.handle(ev.WorkerGone(1, "exited with status 0", spooled=spooled))
    assert states(desk) == [S.PRODUCED, S.PRODUCED, S.CANCELLED]


def test_what_a_worker_acknowledges_and_nobody_finds_is_executed_by_another() -> None:
    desk = Desk(2).begun(1, concurrency=2)
    desk.produce(1, 0)
    desk.state.workers[1].state = W.DRAINING  # by an order that was given on a wrong belief
    desk.handle(ev.Acknowledged(1))
    out = desk.handle(ev.WorkerGone(1, "exited with status 0"))
    assert [(w.item, w.state) for w in only(do.Write, out)] == [(1, S.AVAILABLE)]
    assert only(do.StartWorker, out)


def test_a_worker_that_dies_after_the_stop_is_not_replaced() -> None:
    desk = Desk(5, 1).begun(1)
    desk.handle(ev.StopAsked())
    out = desk.die(1, 0)
    assert only(do.StartWorker, out) == []
    assert set(states(desk)) == {S.CANCELLED}
    assert desk.state.items[0].deaths == 0, "the user may have killed it"


def test_an_item_that_takes_too_long_costs_its_worker_once() -> None:
    desk = Desk(2, 1, item_timeout=10.0).begun(1)
    desk.handle(ev.Executing(1, {0: 5.0}), now=5.2)
    assert desk.handle(ev.Tick(), now=15.0) == []
    out = desk.handle(ev.Tick(), now=15.1)
    assert out == [do.KillWorker(1, "was killed: an item took longer than 10 s", stack=True)]
    assert desk.handle(ev.Tick(), now=16.0) == []


def test_an_item_that_has_ended_in_time_is_not_watched_any_more() -> None:
    desk = Desk(2, 1, item_timeout=10.0).begun(1)
    desk.handle(ev.Executing(1, {0: 5.0}), now=5.2)
    desk.now = 14.0
    desk.produce(1)
    assert desk.handle(ev.Tick(), now=1000.0) == []


def test_without_a_timeout_an_item_may_take_for_ever() -> None:
    desk = Desk(1).begun(1)
    desk.handle(ev.Executing(1, {0: 5.0}), now=5.2)
    assert desk.handle(ev.Tick(), now=1e9) == []


def test_a_worker_that_has_finished_and_does_not_end_is_killed_and_missed_by_nobody() -> None:
    desk = Desk(1, 1).begun(1)
    desk.produce(1)
    desk.handle(ev.Acknowledged(1), now=10.0)
    assert desk.handle(ev.Tick(), now=150.0) == []
    out = desk.handle(ev.Tick(), now=1000.0)
    assert out == [do.KillWorker(1, "was killed: it had finished and did not end", stack=True)]
    assert desk.handle(ev.Tick(), now=1001.0) == []
    assert only(do.Say, desk.die(1)) == []


def test_a_worker_that_still_loads_when_all_is_done_is_dismissed_without_a_word() -> None:
    desk = Desk(2, 2).begun(1)
    desk.produce(1)
    out = desk.produce(1)
    assert only(do.SendDrain, out) == [do.SendDrain(1), do.SendDrain(2)]
    assert desk.handle(ev.WorkerReady(2, 1)) == [], "said before it saw the order"
    assert desk.handle(ev.Tick()) == [], "what it said before is heard first"
    assert desk.handle(ev.Tick()) == [do.KillWorker(2, "was not needed any more")]
    assert desk.handle(ev.Tick()) == []
    after = desk.die(2)
    assert (only(do.Say, after), only(do.StartWorker, after), desk.state.restarts) == ([], [], 0)


@pytest.mark.parametrize("early", [True, False])
def test_one_who_sets_up_when_all_is_done_takes_down_what_it_has_set_up(early: bool) -> None:
    desk = Desk(2, 2).begun(1)
    if early:
        desk.handle(ev.WorkerSetsUp(2))
    desk.produce(1)
    out = desk.produce(1)
    about = [order for order in out if getattr(order, "worker", None) == 2]
    assert about == [do.SendBegin(2), do.SendDrain(2)], "what its set-up traces belongs to the experiment"
    desk.handle(ev.Tick())
    if not early:
        desk.handle(ev.WorkerSetsUp(2))
    for second in range(1, 10):
        assert desk.handle(ev.Tick(), now=float(second)) == []
    desk.handle(ev.WorkerReady(2, 1))
    desk.handle(ev.Acknowledged(2))
    after = desk.die(2)
    assert (desk.state.workers[2].state, only(do.Say, after), desk.state.restarts) == (W.EXITED, [], 0)


def test_one_whose_set_up_does_not_end_is_waited_for_for_a_while() -> None:
    desk = Desk(2, 2).begun(1)
    desk.handle(ev.WorkerSetsUp(2))
    desk.produce(1)
    desk.produce(1)
    assert desk.handle(ev.Tick(), now=9.0) == []
    (kill,) = desk.handle(ev.Tick(), now=11.0)
    assert isinstance(kill, do.KillWorker)
    assert kill.why == "was killed: nobody needed it, and its set-up and tear-down took too long"
    assert only(do.Say, desk.die(2)) == []


def test_a_stop_before_the_experiment_exists_lets_a_set_up_be_taken_down() -> None:
    desk = Desk(2, 2)
    desk.handle(ev.WorkerSetsUp(1))
    out = desk.handle(ev.StopAsked())
    assert [order for order in out if not isinstance(order, do.Write)] == [do.SendDrain(1), do.SendDrain(2)]
    desk.handle(ev.Tick())
    assert desk.handle(ev.Tick()) == [do.KillWorker(2, "was not needed any more")]
    desk.handle(ev.WorkerReady(1, 1))
    desk.handle(ev.Acknowledged(1))
    assert desk.state.workers[1].state is W.DRAINED
    assert desk.handle(ev.Tick(), now=300.0) == []


def test_one_who_cannot_start_when_it_is_not_needed_is_missed_by_nobody() -> None:
    desk = Desk(2, 2).begun(1)
    desk.handle(ev.WorkerSetsUp(2))
    desk.produce(1)
    desk.produce(1)
    assert desk.handle(ev.WorkerCouldNotStart(2, "no GPU is left")) == []
    assert only(do.Say, desk.die(2)) == []


def test_a_run_that_is_only_scored_makes_no_attempt_and_gets_no_error_run() -> None:
    state = SupervisorState([(0, Item(S.AVAILABLE, attempt=1, score=True))], Policy(1, max_attempts=2))
    state.first_workers()
    told: list[do.Instruction] = []
    for worker in (1, 2):
        state.handle(ev.WorkerStarted(worker, 0), 0.0)
        told += state.handle(ev.WorkerReady(worker, 1), 0.0)
        told += state.handle(ev.Begun() if worker == 1 else ev.Tick(), 0.0)
        told += state.handle(ev.WorkerGone(worker, "died", frozenset({0})), 1.0)
    grants = [grant for order in told if isinstance(order, do.SendLease) for grant in order.grants]
    assert [(grant.attempt, grant.score) for grant in grants] == [(1, True), (1, True)]
    (wanted,) = [order for order in told if isinstance(order, do.WriteErrorRun)]
    assert (wanted.attempt, wanted.score) == (1, True)
    assert "2 workers died while they scored it" in wanted.reason
    words = [order.what for order in told if isinstance(order, do.Write)]
    assert words == ["leased", "lost, to be scored again", "leased", "scoring given up"]
