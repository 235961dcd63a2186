"""The supervisor's judgment: events in, instructions out. No process, no clock, no ledger, no network.

The shell (loop.py) turns what happens into events, hands them in with the time, and carries the
instructions out in order; a `Write` is committed before any later instruction of the same batch is sent.

    workers.py    Knowledge         what is known of items and workers
    reports.py    Reports           what workers say of their items
    losses.py     Losses            workers that could not start, or are gone
    dispatch.py   Dispatch          who is given what
    state.py      SupervisorState   every event, by name: the beginning, the stop and time are decided here
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from evalrunner.protocol.worker import WorkerState
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.dispatch import Dispatch
from evalrunner.supervisor.core.items import Item
from evalrunner.supervisor.core.losses import Losses
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.workers import ABLE, Worker

W = WorkerState


class SupervisorState(Losses, Dispatch):
    """Everything that decides about items and workers.

    Args:
        items: the plan; those that are AVAILABLE will be executed, in this order.
        policy: the rules.
        first_token: tokens of this run start here; higher than any that an earlier run gave.
    """

    def __init__(self, items: Iterable[tuple[int, Item]], policy: Policy, first_token: int = 1) -> None:
        super().__init__(items, policy, first_token)
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            ev.WorkerStarted: self._worker_started,
            ev.WorkerSetsUp: self._worker_sets_up,
            ev.WorkerReady: self._worker_ready,
            ev.WorkerCouldNotStart: self._could_not_start,
            ev.Begun: self._experiment_begun,
            ev.Executing: self._executing,
            ev.Reported: self._reported,
            ev.Acknowledged: self._acknowledged,
            ev.WorkerGone: self._gone,
            ev.SentOn: self._sent_on,
            ev.Seen: self._seen,
            ev.Missed: self._missed,
            ev.ErrorRunWritten: self._error_run_written,
            ev.StopAsked: self._stop,
            ev.ExperimentGone: self._experiment_gone,
            ev.TakenOver: self._taken_over,
            ev.Paused: self._paused,
            ev.Tick: self._tick,
        }
        #: When those that have not ended by then are killed, in a run that is stopped.
        self._killing_at = policy.items_end

    def handle(self, event: ev.Event, now: float) -> list[do.Instruction]:
        """Take in what happened at `now` (monotonic seconds); return what is to be done, in order."""
        self._now = now
        self._book.out = self._out = []
        self._handlers[type(event)](event)
        self._dispatch(getattr(event, "worker", None))
        return self._out

    # -- workers -------------------------------------------------------------------------------------

    def first_workers(self) -> list[do.Instruction]:
        """Return the starts that the run begins with: never more workers than items."""
        return [do.StartWorker(slot) for slot in range(min(self.policy.workers, self.planned))]

    def _worker_started(self, event: ev.WorkerStarted) -> None:
        self.workers[event.worker] = Worker(event.slot, born=self._now)
        self._living += 1
        self._place(event.worker)
        self._coming = max(0, self._coming - 1)

    def _worker_sets_up(self, event: ev.WorkerSetsUp) -> None:
        self.workers[event.worker].sets_up = True

    def _worker_ready(self, event: ev.WorkerReady) -> None:
        worker = self.workers[event.worker]
        if worker.dismissed or worker.let_go:
            return  # it said so before it saw that it may go, or while it was being killed
        if worker.state is not W.STARTING:
            self._distrust(event.worker, "it said twice that it was ready")
            return
        self._move(event.worker, W.READY)
        worker.concurrency = event.concurrency
        worker.counted_at = self._now
        if self._begun:
            self._send_begin(event.worker)

    def _experiment_begun(self, _: ev.Begun) -> None:
        self._begun = True
        for number, worker in self.workers.items():
            if worker.state is W.READY:
                self._send_begin(number)

    def _send_begin(self, number: int) -> None:
        self._out.append(do.SendBegin(number))
        if self._trials.genuine:
            self._out.append(do.SendTrust(number, tuple(sorted(self._trials.genuine))))

    def _acknowledged(self, event: ev.Acknowledged) -> None:
        # What it holds is judged when it is gone: a report may be missing, and then its spool knows more.
        worker = self.workers[event.worker]
        if worker.state is not W.DRAINING:
            self._distrust(event.worker, "it said that it had drained, unasked")
            return
        self._move(event.worker, W.DRAINED)

    # -- items ---------------------------------------------------------------------------------------

    def _error_run_written(self, event: ev.ErrorRunWritten) -> None:
        self._book.error_run_written(event.made)

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

    def _stop(self, event: ev.StopAsked) -> None:
        self._end("the run was stopped", math.inf if event.by_clock else self.policy.stop_timeout)

    def _experiment_gone(self, _: ev.ExperimentGone) -> None:
        # Whatever is executed now could never be seen.
        self._end("the experiment was deleted", self.policy.stop_timeout)

    def _taken_over(self, _: ev.TakenOver) -> None:
        # The other has planned what was not visible: whatever ended now would stand there twice.
        self._end("another command has taken the experiment over", 0.0)

    def _end(self, reason: str, seconds: float) -> None:
        self._killing_at = min(self._killing_at, self._now + seconds)
        if self.stopping:
            return
        self.stopping = True
        self._book.cancel_ready(reason)
        for number, worker in self.workers.items():
            if worker.state in ABLE:
                self._out.append(do.SendStop(number))
                self._move(number, W.DRAINING)
            elif worker.state is W.STARTING and not worker.dismissed:
                self._let_go(number)

    # -- time ----------------------------------------------------------------------------------------

    def _paused(self, event: ev.Paused) -> None:
        self._pauses.append((self._now, event.seconds))

    def _tick(self, _: ev.Tick) -> None:
        if self.stopping and self._now > self._killing_at:
            self._end_all()
        for number, worker in self.workers.items():
            if self._superfluous(worker):
                self._dismiss(number)
                self._out.append(do.KillWorker(number, "was not needed any more"))
            why = self._overdue(worker)
            if why and not worker.dismissed:
                self._dismiss(number)
                worker.why_not = why if worker.state is W.STARTING else ""
                self._out.append(do.KillWorker(number, f"was killed: {why}", stack=True))

    def _end_all(self) -> None:
        """The time is up: what has been finished is in the spools, what has not will be executed again."""
        for number in self.living():
            if not self.workers[number].dismissed:
                self._dismiss(number)
                self._out.append(
                    do.KillWorker(number, "was killed: the run was stopped, and its time was up")
                )

    def _superfluous(self, worker: Worker) -> bool:
        """Whether one that may go has nothing to take down: it does nothing that anybody waits for.

        What it said before it could see the order has been heard by the second look after: the first may belong
        to the turn that sends the order. And no set-up begins once it can be seen (worker/main.py).
        """
        if not worker.let_go or worker.sets_up or worker.dismissed or worker.state is not W.DRAINING:
            return False
        worker.looks += 1
        return worker.looks > 1

    def _overdue(self, worker: Worker) -> str | None:
        """Say why a worker must not go on, or None. What it has produced is durable in any case."""
        if worker.let_go and worker.state is W.DRAINING:
            late = self._lasted(worker.ending_since) > self.policy.settle_timeout
            return "nobody needed it, and its set-up and tear-down took too long" if late else None
        if worker.state in (W.DRAINING, W.DRAINED) and not self.stopping:
            late = self._lasted(worker.ending_since) > self.policy.end_timeout
            return "it had finished and did not end" if late else None
        if worker.state is W.STARTING:
            late = self._lasted(worker.born) > self.policy.setup_timeout
            return (
                f"target and evaluators were still loading after {self.policy.setup_timeout:g} s (--setup-timeout)"
                if late
                else None
            )
        limit = self.policy.item_timeout
        if limit is None or worker.state not in (W.BUSY, W.READY, W.DRAINING):
            return None
        stuck = any(self._lasted(since) > limit for since in worker.started.values())
        return f"an item took longer than {limit:g} s" if stuck else None
