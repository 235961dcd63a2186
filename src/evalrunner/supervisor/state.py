"""The supervisor's judgment: events in, instructions out. No process, no clock, no ledger, no network.

The shell (loop.py) turns what happens into events, hands them in with the time, and carries the
instructions out in order; a `Write` is committed before any later instruction of the same batch is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from evalrunner.protocol.messages import ProducedItem, Report
from evalrunner.protocol.worker import WorkerState, check
from evalrunner.supervisor import events as ev
from evalrunner.supervisor.items import Item, ItemBook
from evalrunner.supervisor.policy import Policy, smoothed, window

W = WorkerState


@dataclass(slots=True)
class Worker:
    """One worker process."""

    slot: int
    state: WorkerState = W.STARTING
    concurrency: int = 1
    held: set[int] = field(default_factory=set)
    started: dict[int, float] = field(default_factory=dict)
    done: int = 0
    rate: float = 0.0
    counted_at: float = 0.0
    note: str = ""
    loadable: bool = True
    dismissed: bool = False
    ending_since: float = 0.0


class SupervisorState:
    """Everything that decides about items and workers.

    Args:
        items: the plan; those that are AVAILABLE will be executed, in this order.
        policy: the rules.
        first_token: tokens of this run start here; higher than any that an earlier run gave.
    """

    def __init__(self, items: Iterable[tuple[int, Item]], policy: Policy, first_token: int = 1) -> None:
        self._book = ItemBook(items, policy.max_attempts, first_token)
        self.items = self._book.items
        self.ready = self._book.ready
        self.policy = policy
        self.workers: dict[int, Worker] = {}
        self.planned = len(self.ready)
        self.restarts = 0
        self.stopping = False
        self._begun = False
        self._futile = 0
        self._out = self._book.out
        self._now = 0.0
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            ev.WorkerStarted: self._worker_started,
            ev.WorkerReady: self._worker_ready,
            ev.WorkerCouldNotStart: self._could_not_start,
            ev.Begun: self._experiment_begun,
            ev.Reported: self._reported,
            ev.Acknowledged: self._acknowledged,
            ev.WorkerGone: self._gone,
            ev.SentOn: self._sent_on,
            ev.Seen: self._seen,
            ev.Missed: self._missed,
            ev.Buried: self._buried,
            ev.StopAsked: self._stop,
            ev.ExperimentGone: self._experiment_gone,
            ev.Tick: self._tick,
        }

    def handle(self, event: ev.Event, now: float) -> list[ev.Instruction]:
        """Take in what happened at `now` (monotonic seconds); return what is to be done, in order."""
        self._now = now
        self._book.out = self._out = []
        self._handlers[type(event)](event)
        self._dispatch()
        return self._out

    # -- what others ask -----------------------------------------------------------------------------

    @property
    def executing(self) -> bool:
        """Whether some item still has to be executed or is being executed."""
        return bool(self.ready) or any(worker.held for worker in self.workers.values())

    def living(self) -> list[int]:
        """Return the workers that are not known dead."""
        return [number for number, w in self.workers.items() if w.state not in (W.EXITED, W.LOST)]

    # -- workers -------------------------------------------------------------------------------------

    def first_workers(self) -> list[ev.Instruction]:
        """Return the starts that the run begins with: never more workers than items."""
        return [ev.StartWorker(slot) for slot in range(min(self.policy.workers, self.planned))]

    def _worker_started(self, event: ev.WorkerStarted) -> None:
        self.workers[event.worker] = Worker(event.slot)

    def _worker_ready(self, event: ev.WorkerReady) -> None:
        worker = self.workers[event.worker]
        if worker.dismissed:
            return  # it said so while it was being killed
        worker.state = check(worker.state, W.READY)
        worker.concurrency = event.concurrency
        worker.counted_at = self._now
        if self._begun:
            self._out.append(ev.SendBegin(event.worker))

    def _could_not_start(self, event: ev.WorkerCouldNotStart) -> None:
        if self._begun:
            # It started once, so the environment of this one is to blame; its end is handled when it ends.
            self.workers[event.worker].loadable = False
            slot = self.workers[event.worker].slot
            self._out.append(ev.Say(f"worker {slot} could not start: {event.error}"))
            return
        self._out.append(ev.Abort(event.error))

    def _experiment_begun(self, _: ev.Begun) -> None:
        self._begun = True
        self._out.extend(
            ev.SendBegin(number) for number, worker in self.workers.items() if worker.state is W.READY
        )

    def _acknowledged(self, event: ev.Acknowledged) -> None:
        # What it holds is judged when it is gone: a report may be missing, and then its spool knows more.
        worker = self.workers[event.worker]
        worker.state = check(worker.state, W.DRAINED)

    def _gone(self, event: ev.WorkerGone) -> None:
        worker = self.workers[event.worker]
        drained = worker.state is W.DRAINED
        # One that was dismissed while it was loading is missed by nobody.
        missed = not drained and not (worker.state is W.STARTING and worker.dismissed)
        worker.state = check(worker.state, W.EXITED if drained else W.LOST)
        for made in event.spooled:
            self._produce(made, event.worker)
        lost = sorted(worker.held)
        worker.held.clear()
        worker.started.clear()
        for item in reversed(lost):
            if drained and self.stopping:
                # A stopped worker forgets what it had not started, and has said so.
                self._book.cancel(item, "the run was stopped")
            elif self.stopping:
                self._book.lose_for_good(item, event.worker)
            else:
                self._book.lose(item, event.worker, event.how, suspect=item in event.suspects)
        if missed or (lost and not self.stopping):
            self._replace(event, len(lost))

    def _replace(self, event: ev.WorkerGone, lost: int) -> None:
        slot = self.workers[event.worker].slot
        self._out.append(ev.Say(f"worker {slot} {event.how}; {lost} item(s) go to other workers"))
        self._futile += 1
        if self._futile > self.policy.futile_deaths:
            if self.ready:
                told = f"{self._futile} workers in a row died without producing anything; no more are started"
                self._out.append(ev.Say(told))
            self._book.cancel_ready("workers kept dying")
            return
        living = len(self.living())
        if living and not self.workers[event.worker].loadable:
            return  # its slot would not do better the next time, and the others go on
        if self.ready and not self.stopping and living < min(self.policy.workers, len(self.ready) + living):
            self.restarts += 1
            self._out.append(ev.StartWorker(slot))

    # -- items ---------------------------------------------------------------------------------------

    def _reported(self, event: ev.Reported) -> None:
        worker = self.workers[event.worker]
        report: Report = event.report
        worker.note = report.note
        for item, _token in report.started:
            worker.started[item] = self._now
        for made in report.produced:
            self._produce(made, event.worker)
        for item, token in report.accepted:
            self._book.accept(item, token, event.worker)
        for item, token, reason in report.refused:
            self._book.refuse(item, token, reason, event.worker)
        if report.produced:
            self._count(worker, len(report.produced))

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
            worker.held.discard(made.item)
            worker.started.pop(made.item, None)
            worker.done += 1

    def _buried(self, event: ev.Buried) -> None:
        self._book.bury(event.made)

    def _sent_on(self, event: ev.SentOn) -> None:
        for item, token in event.accepted:
            self._book.accept(item, token, None)
        for item, token, reason in event.refused:
            self._book.refuse(item, token, reason, None)

    def _seen(self, event: ev.Seen) -> None:
        for item in event.items:
            self._book.see(item)

    def _missed(self, event: ev.Missed) -> None:
        for item, reason in event.items.items():
            self._book.miss(item, reason)

    # -- stopping ------------------------------------------------------------------------------------

    def _stop(self, _: ev.StopAsked) -> None:
        self._end("the run was stopped")

    def _experiment_gone(self, _: ev.ExperimentGone) -> None:
        # Whatever is executed now could never be seen.
        self._end("the experiment was deleted")

    def _end(self, reason: str) -> None:
        if self.stopping:
            return
        self.stopping = True
        self._book.cancel_ready(reason)
        for number, worker in self.workers.items():
            if worker.state in (W.READY, W.BUSY):
                self._out.append(ev.SendStop(number))
                worker.state = W.DRAINING
            elif worker.state is W.STARTING:
                worker.dismissed = True
                self._out.append(ev.KillWorker(number, "was not needed any more"))

    # -- time and work -------------------------------------------------------------------------------

    def _tick(self, _: ev.Tick) -> None:
        for number, worker in self.workers.items():
            why = self._overdue(worker)
            if why and not worker.dismissed:
                worker.dismissed = True
                self._out.append(ev.KillWorker(number, f"was killed: {why}", stack=True))

    def _overdue(self, worker: Worker) -> str | None:
        """Say why a worker must not go on, or None. What it has produced is durable in any case."""
        if worker.state in (W.DRAINING, W.DRAINED) and not self.stopping:
            late = self._now - worker.ending_since > self.policy.end_timeout
            return "it had finished and did not end" if late else None
        limit = self.policy.item_timeout
        if limit is None or worker.state not in (W.BUSY, W.READY, W.DRAINING):
            return None
        stuck = any(self._now - since > limit for since in worker.started.values())
        return f"an item took longer than {limit:g} s" if stuck else None

    def _dispatch(self) -> None:
        if not self._begun:
            return
        able = [n for n, w in self.workers.items() if w.state in (W.READY, W.BUSY)]
        # Those that still load get their share too: the first to be ready must not take it all.
        loading = sum(w.state is W.STARTING and not w.dismissed for w in self.workers.values())
        for number in sorted(able, key=lambda n: len(self.workers[n].held)):
            self._fill(number, self.workers[number], len(able) + loading)
        if not self.executing and not self.stopping:
            self._drain_all(able)

    def _drain_all(self, able: list[int]) -> None:
        for number in able:
            worker = self.workers[number]
            worker.state, worker.ending_since = check(worker.state, W.DRAINING), self._now
            self._out.append(ev.SendDrain(number))
        for number, worker in self.workers.items():
            # One that is still loading (or hangs there) has nothing to wait for.
            if worker.state is W.STARTING and not worker.dismissed:
                worker.dismissed = True
                self._out.append(ev.KillWorker(number, "was not needed any more"))

    def _fill(self, number: int, worker: Worker, sharing: int) -> None:
        room = window(worker.concurrency, worker.rate, len(self.ready), sharing) - len(worker.held)
        grants: list[ev.Grant] = []
        while room > 0 and (item := self._book.next_for(worker.held)) is not None:
            grants.append(self._book.lease(item, number))
            worker.held.add(item)
            room -= 1
        if grants:
            worker.state = W.BUSY
            self._out.append(ev.SendLease(number, tuple(grants)))
