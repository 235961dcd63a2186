"""Whose fault a failure is: the judgment by example. Worker 1 is the one that may be spoilt."""

from __future__ import annotations

from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import ProducedItem, Report
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.items import Item
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.state import SupervisorState

S = ItemState
EMFILE = "OSError(24, 'Too many open files')"


class Desk:
    """A state, a shell that starts workers at once, and what was ordered of each kind."""

    def __init__(self, items: int, workers: int = 1, attempts: int = 2) -> None:
        plan = [(number, Item(S.AVAILABLE)) for number in range(items)]
        self.state = SupervisorState(plan, Policy(workers, attempts))
        self.count = 0
        self.grants: dict[int, list[do.Grant]] = {}
        self.orders: list[do.Instruction] = []
        self._carry_out(self.state.first_workers())
        self.tell(ev.WorkerReady(1, 1))
        self.tell(ev.Begun())

    def tell(self, event: ev.Event) -> list[do.Instruction]:
        out = self.state.handle(event, 0.0)
        self._carry_out(out)
        return out

    def _carry_out(self, out: list[do.Instruction]) -> None:
        self.orders += out
        for order in out:
            if isinstance(order, do.StartWorker):
                self.count += 1
                self.tell(ev.WorkerStarted(self.count, order.slot))
            elif isinstance(order, do.SendLease):
                self.grants.setdefault(order.worker, []).extend(order.grants)

    def ordered(self, kind: type[do.Instruction]) -> list[do.Instruction]:
        return [order for order in self.orders if isinstance(order, kind)]

    def end(self, worker: int, error: str | None = None) -> list[do.Instruction]:
        grant = self.grants[worker][-1]
        made = ProducedItem(grant.item, grant.token, [f"r{grant.token}"], [], [], error, [], 0.1)
        return self.tell(ev.Reported(worker, Report(produced=[made])))

    def withhold(self, worker: int) -> int:
        grant = self.grants[worker][-1]
        assert not grant.final
        self.tell(ev.Reported(worker, Report(withheld=[(grant.item, grant.token, "OSError(24")])))
        return grant.item

    def leave(self, worker: int) -> None:
        self.tell(ev.Acknowledged(worker))
        self.tell(ev.WorkerGone(worker, "exited with status 0"))

    def retired(self) -> Desk:
        """Three failures in a row, and the worker is gone; the next one has loaded."""
        self.end(1)
        assert [self.withhold(1) for _ in range(3)] == [1, 2, 3]
        assert self.ordered(do.SendRetire) == [do.SendRetire(1)]
        self.leave(1)
        self.tell(ev.WorkerReady(2, 1))
        return self


def test_the_last_failure_is_tried_alone_in_a_fresh_worker() -> None:
    desk = Desk(8).retired()
    assert [grant.item for grant in desk.grants[2]] == [3]
    assert desk.grants[2][0].final, "two executions are all it has"
    assert desk.grants[2][0].attempt == 2
    assert desk.state.restarts == 1


def test_if_it_succeeds_there_the_others_follow_it_and_it_is_said() -> None:
    desk = Desk(8).retired()
    desk.end(2)
    (warning,) = desk.ordered(do.Warn)
    assert "worker 0 was replaced: items failed in it with OSError(24, ...)" in str(warning)
    for _ in range(6):
        desk.end(2)
    assert [grant.item for grant in desk.grants[2]] == [3, 2, 1, 4, 5, 6, 7]
    assert desk.ordered(do.SendTrust) == []


def test_if_it_fails_there_such_failures_count_from_now_on() -> None:
    desk = Desk(8).retired()
    desk.end(2, EMFILE)
    assert desk.ordered(do.SendTrust) == [do.SendTrust(2, ("OSError(24",))]
    assert desk.ordered(do.Warn) == []
    desk.tell(ev.WorkerGone(2, "was killed by SIGKILL"))
    desk.tell(ev.WorkerReady(3, 1))
    assert desk.ordered(do.SendTrust)[-1] == do.SendTrust(3, ("OSError(24",)), (
        "whoever comes later knows it too"
    )


def test_a_worker_that_has_nothing_else_to_do_is_retired_for_one_failure() -> None:
    desk = Desk(2)
    desk.end(1)
    desk.withhold(1)
    assert desk.ordered(do.SendRetire) == [do.SendRetire(1)]
    assert desk.ordered(do.SendDrain) == []


def test_a_failure_that_the_worker_lets_go_by_itself_counts() -> None:
    desk = Desk(3)
    desk.end(1)
    desk.withhold(1)
    grant = desk.grants[1][1]
    made = ProducedItem(grant.item, grant.token, ["r"], [], [], EMFILE, [], 0.1)
    desk.tell(ev.Reported(1, Report(produced=[made])))
    desk.end(1)
    assert desk.ordered(do.SendRetire) == []
    assert desk.ordered(do.SendDrain) == [do.SendDrain(1)]


def test_what_is_held_back_when_the_run_is_stopped_was_not_run() -> None:
    desk = Desk(4)
    desk.end(1)
    item = desk.withhold(1)
    desk.tell(ev.StopAsked())
    desk.leave(1)
    assert desk.state.items[item].state is S.CANCELLED
    assert desk.state.items[item].attempt == 1, "an execution has borne this number"
    assert not desk.state.executing


def test_with_one_attempt_every_execution_is_final() -> None:
    assert Desk(2, attempts=1).grants[1][0].final


def test_a_worker_that_dies_with_failures_held_back_costs_nobody_a_death() -> None:
    desk = Desk(4)
    desk.end(1)
    item = desk.withhold(1)
    desk.tell(ev.WorkerGone(1, "was killed by SIGKILL"))
    assert (desk.state.items[item].deaths, desk.state.items[item].spoilt) == (0, 1)
    desk.tell(ev.WorkerReady(2, 1))
    assert desk.grants[2][0].item == item


def test_without_a_fresh_worker_in_sight_another_must_do() -> None:
    desk = Desk(6, workers=2)
    desk.tell(ev.WorkerReady(2, 1))
    desk.end(1)
    desk.end(2)
    item = desk.withhold(1)
    desk.tell(ev.WorkerGone(1, "was killed by SIGKILL"))
    desk.tell(ev.WorkerCouldNotStart(3, "no GPU"))
    desk.tell(ev.WorkerGone(3, "could not start"))
    desk.end(2)
    assert desk.grants[2][-1].item == item
