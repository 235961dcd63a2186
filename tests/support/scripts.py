"""What scripted workers do: well, unless a test has them do otherwise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from evalrunner.engines.scripted import ScriptedWorker
from evalrunner.protocol.messages import Message
from evalrunner.protocol.orders import Drain, Lease, LeasedItem, Retire, Stop
from evalrunner.protocol.reports import Ack, ProducedItem, Ready, Report
from evalrunner.protocol.worker import WorkerOrder


class Diligent:
    """A worker with which all goes well. Override what shall go otherwise.

    Args:
        concurrency: items that it executes at once.
        loads: seconds until it is ready.
        seconds: that an item takes.
    """

    def __init__(self, *, concurrency: int = 1, loads: float = 0.1, seconds: float = 0.05) -> None:
        self.concurrency, self.loads, self.seconds = concurrency, loads, seconds
        self.waiting: deque[LeasedItem] = deque()
        self.told_of: list[Message] = []
        self.begun: list[int] = []
        self.books = [0, 0, 0, 0]
        self.ending = False

    def born(self, worker: ScriptedWorker) -> None:
        worker.later(
            self.loads, lambda: worker.say(Ready(worker.pid, self.concurrency, {"exact": ["exact"]}))
        )

    def told(self, worker: ScriptedWorker, order: Message) -> None:
        self.told_of.append(order)
        if isinstance(order, Lease):
            self.waiting.extend(order.items)
        elif isinstance(order, (Drain, Stop, Retire)):
            self.ending = True
            if not isinstance(order, Drain):
                self.waiting.clear()
        self.go_on(worker)

    def go_on(self, worker: ScriptedWorker) -> None:
        while self.waiting and len(worker.board) < self.concurrency:
            leased = self.waiting.popleft()
            self.begun.append(leased.item)
            worker.board[leased.item] = worker.now
            self.execute(worker, leased)
        if self.ending and not worker.board:
            self.leave(worker)

    def execute(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
        """It has begun an item."""
        worker.later(self.seconds, lambda: self.produce(worker, leased))

    def produce(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
        """An item has come to its end, and is accepted at once."""
        del worker.board[leased.item]
        self.report(worker, Report([made(leased, self.seconds)], [(leased.item, leased.token)]))
        self.go_on(worker)

    def report(self, worker: ScriptedWorker, report: Report) -> None:
        news: tuple[list[Any], ...] = (report.produced, report.accepted, report.refused, report.loose)
        self.books = [before + len(more) for before, more in zip(self.books, news, strict=True)]
        worker.say(report)

    def leave(self, worker: ScriptedWorker) -> None:
        """It has drained."""
        produced, accepted, refused, loose = self.books
        worker.say(Ack(0, 0, "", produced, accepted, refused, loose))
        worker.die(0)


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


def made(leased: LeasedItem, seconds: float = 0.05) -> ProducedItem:
    """Return what a worker says of an item that it has executed."""
    return ProducedItem(leased.item, leased.token, [leased.run_id], [], [], None, [], seconds)


def only_first(special: Callable[[], Diligent]) -> Callable[[WorkerOrder], Diligent]:
    """The first worker that is started is special, all others are well."""
    return lambda order: special() if order.worker_id == 1 else Diligent()
