"""Workers that could not start or are gone: what becomes of their items, and who takes their place. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from evalrunner.protocol.worker import WorkerState
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.reports import Reports

W = WorkerState


class Losses(Reports):
    """What follows from a worker's end: first its spool is believed, then what it held is taken back."""

    def _could_not_start(self, event: ev.WorkerCouldNotStart) -> None:
        worker = self.workers[event.worker]
        if worker.let_go:
            return
        if worker.state is not W.STARTING:
            self._distrust(event.worker, "it said that it could not start when it had started")
            return
        worker.why_not = event.error
        if event.sure and not self._begun:
            self._out.append(do.Abort(event.error))
        elif not self._abort_if_none_starts():
            # Another one may: it is the place of this one that is to blame (its GPU, say).
            self._out.append(do.Say(f"worker {worker.slot} could not start: {event.error}"))

    def _abort_if_none_starts(self) -> bool:
        """Before anything is executed: once every place has failed to start, nothing will be."""
        hopeful = any(not self.workers[number].why_not for number in self.living())
        if self._begun or self.stopping or hopeful:
            return False
        reasons: dict[str, list[int]] = {}
        for worker in self.workers.values():
            if worker.why_not:
                reasons.setdefault(_told_alike(worker.why_not, reasons), []).append(worker.slot)
        told = [f"worker {', '.join(map(str, slots))}: {reason}" for reason, slots in reasons.items()]
        self._out.append(do.Abort("; ".join(reasons if len(reasons) == 1 else told)))
        return True

    def _gone(self, event: ev.WorkerGone) -> None:
        worker = self.workers[event.worker]
        drained = worker.state is W.DRAINED
        unneeded = worker.let_go and not worker.why_not
        missed = not drained and not unneeded
        self._move(event.worker, W.EXITED if drained else W.LOST)
        self._living -= 1
        for made in event.spooled:
            self._produce(made, event.worker)
        self._held -= len(worker.held)
        if not self.stopping:
            self._trials.take_back(worker.standing, worker.held, event.worker)
        lost = sorted(worker.held)
        worker.held.clear()
        worker.started.clear()
        for item in reversed(lost):
            if drained and self.stopping:
                # A stopped worker forgets what it had not started, and has said so.
                self._book.cancel(item, "the run was stopped", begun=item in worker.standing.withheld)
            elif self.stopping:
                self._book.lose_for_good(item, event.worker, begun=item in event.suspects)
            else:
                self._book.lose(item, event.worker, event.how, suspect=item in event.suspects)
        if drained and worker.standing.retired:
            if self._book.pending and not self.stopping:
                self._restart(worker.slot)
        elif worker.why_not and self._abort_if_none_starts():
            return
        elif missed or (lost and not self.stopping):
            self._replace(event, lost)

    def _replace(self, event: ev.WorkerGone, lost: list[int]) -> None:
        slot = self.workers[event.worker].slot
        if lost or not self.workers[event.worker].why_not:  # else it has been said
            self._out.append(do.Say(f"worker {slot} {event.how}{_held(lost, event.suspects)}"))
        self._futile += 1
        if self._futile > self.policy.futile_deaths:
            if self._book.pending:
                told = f"{self._futile} workers in a row died without producing anything; no more are started"
                self._out.append(do.Say(told))
            self._book.cancel_ready("workers kept dying")
            return
        living = self._living
        if living and self.workers[event.worker].why_not:
            return  # its slot would not do better the next time, and the others go on
        pending = self._book.pending
        if pending and not self.stopping and living < min(self.policy.workers, pending + living):
            self._restart(slot)

    def _restart(self, slot: int) -> None:
        self.restarts += 1
        self._coming += 1
        self._out.append(do.StartWorker(slot))


def _held(lost: list[int], executing: frozenset[int]) -> str:
    begun = len(executing.intersection(lost))
    held = f"; it held {len(lost)} item(s)" if lost else ""
    return f"{held} and was executing {begun} of them" if begun else held


def _told_alike(why: str, known: Iterable[str]) -> str:
    """Return a reason that is known and differs in the worker's log only, else `why`."""
    cause, log = why.partition(" (the traceback is in ")[::2]
    return next((one for one in known if log and one.startswith(f"{cause} (the traceback is in ")), why)
