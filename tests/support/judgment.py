"""A supervisor's state whose instructions are carried out at once, and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import ProducedItem, Report
from evalrunner.protocol.worker import WorkerState
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.items import Item
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.state import SupervisorState

S, W = ItemState, WorkerState


T = TypeVar("T")


def made(item: int, token: int, error: str | None = None) -> ProducedItem:
    return ProducedItem(item, token, [f"run-{item}-{token}"], [], [], error, [], 0.1)


class Desk:
    """A supervisor's state with a shell that starts workers at once and remembers all the rest."""

    def __init__(self, items: int, workers: int = 1, first_token: int = 1, **policy: object) -> None:
        plan = [(number, Item(S.AVAILABLE)) for number in range(items)]
        self.state = SupervisorState(plan, Policy(workers, **policy), first_token)  # type: ignore[arg-type]
        self.now = 0.0
        self.count = 0
        self.leases: dict[int, list[do.Grant]] = {}
        self.said: list[do.Instruction] = []
        self.carry_out(self.state.first_workers())

    def handle(self, event: ev.Event, now: float | None = None) -> list[do.Instruction]:
        self.now = self.now if now is None else now
        out = self.state.handle(event, self.now)
        self.carry_out(out)
        return out

    def carry_out(self, out: list[do.Instruction]) -> None:
        self.said.extend(out)
        for order in out:
            if isinstance(order, do.StartWorker):
                self.count += 1
                self.handle(ev.WorkerStarted(self.count, order.slot))
            elif isinstance(order, do.SendLease):
                self.leases.setdefault(order.worker, []).extend(order.grants)

    def ready(self, *workers: int, concurrency: int = 1) -> None:
        for number in workers:
            self.handle(ev.WorkerReady(number, concurrency))

    def begun(self, *workers: int, concurrency: int = 1) -> Desk:
        self.ready(*workers, concurrency=concurrency)
        self.handle(ev.Begun())
        return self

    def grant(self, worker: int, index: int = -1) -> do.Grant:
        return self.leases[worker][index]

    def produce(self, worker: int, index: int = -1) -> list[do.Instruction]:
        grant = self.grant(worker, index)
        return self.handle(ev.Reported(worker, Report(produced=[made(grant.item, grant.token)])))

    def die(self, worker: int, *suspects: int, spooled: Sequence[ProducedItem] = ()) -> list[do.Instruction]:
        return self.handle(
            ev.WorkerGone(worker, "was killed by SIGKILL", frozenset(suspects), tuple(spooled))
        )


def only(kind: type[T], out: Sequence[object]) -> list[T]:
    return [each for each in out if isinstance(each, kind)]


def states(desk: Desk) -> list[ItemState]:
    return [item.state for item in desk.state.items.values()]
