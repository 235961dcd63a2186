"""What a worker says of its items: believed where it can be its own, and of the lease that is current. Pure."""

from __future__ import annotations

from evalrunner.protocol.reports import ProducedItem, Report
from evalrunner.protocol.worker import WorkerState
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.policy import smoothed
from evalrunner.supervisor.core.trials import shown
from evalrunner.supervisor.core.workers import Knowledge, Worker

W = WorkerState


class Reports(Knowledge):
    """What becomes of items, as their workers tell it, or their spools."""

    def _reported(self, event: ev.Reported) -> None:
        worker = self.workers[event.worker]
        report: Report = event.report
        if not self._are_its_own(worker, report):
            self._distrust(event.worker, "it reported on an item that was never given to it")
            return
        worker.note = report.note
        for made in report.produced:
            self._produce(made, event.worker)
        for item, token in report.accepted:
            self._book.accept(item, token, event.worker)
        for item, token, reason in report.refused:
            self._book.refuse(item, token, reason, event.worker)
        for item, token, kind in report.withheld:
            self._withhold(event.worker, item, token, kind)
        if report.produced:
            self._count(worker, len(report.produced))

    def _are_its_own(self, worker: Worker, report: Report) -> bool:
        told = {made.item for made in report.produced}
        told.update(item for item, _ in report.accepted)
        told.update(item for item, *_ in (*report.refused, *report.withheld))
        return told <= self.items.keys() and not any(
            self._book.is_leased(made.item, made.token) and made.item not in worker.held
            for made in report.produced
        )

    def _executing(self, event: ev.Executing) -> None:
        worker = self.workers[event.worker]
        worker.started = {item: since for item, since in event.items.items() if item in worker.held}
        if worker.standing.retired and worker.started:
            worker.ending_since = self._now  # it finishes these first

    def _withhold(self, number: int, item: int, token: int, kind: str) -> None:
        worker = self.workers[number]
        if item in worker.held and self._book.is_leased(item, token):
            worker.standing.withheld[item] = kind
            worker.started.pop(item, None)
            self._out.append(do.Tell(item, number, token, f"failed with {shown(kind)}, held back"))

    def _count(self, worker: Worker, produced: int) -> None:
        worker.rate = smoothed(worker.rate, produced, self._now - worker.counted_at)
        worker.counted_at = self._now
        if worker.state in (W.READY, W.BUSY):
            worker.state = W.BUSY if worker.held else W.READY

    def _produce(self, made: ProducedItem, number: int) -> None:
        if not self._book.produce(made, number):
            return
        self._futile = 0
        worker = self.workers.get(number)
        if worker is not None:
            self._held -= made.item in worker.held
            worker.held.discard(made.item)
            worker.started.pop(made.item, None)
            worker.done += 1
            self._durations.add(self._lasted(self._now - made.seconds))
            self._learn(worker, made)

    def _learn(self, worker: Worker, made: ProducedItem) -> None:
        known = len(self._trials.genuine)
        self._out.extend(self._trials.ended(worker.standing, made.item, made.error, worker.slot))
        if len(self._trials.genuine) > known:
            kinds = tuple(sorted(self._trials.genuine))
            self._out.extend(do.SendTrust(number, kinds) for number in sorted(self._able))
