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
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.items import Item, ItemBook
from evalrunner.supervisor.core.policy import Policy, smoothed, window
from evalrunner.supervisor.core.trials import Standing, Trials, shown

W = WorkerState
#: Where a worker may be given items.
ABLE = (W.READY, W.BUSY)


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
    born: float = 0.0
    why_not: str = ""
    dismissed: bool = False
    ending_since: float = 0.0
    standing: Standing = field(default_factory=Standing)


class SupervisorState:
    """Everything that decides about items and workers.

    Args:
        items: the plan; those that are AVAILABLE will be executed, in this order.
        policy: the rules.
        first_token: tokens of this run start here; higher than any that an earlier run gave.
    """

    def __init__(self, items: Iterable[tuple[int, Item]], policy: Policy, first_token: int = 1) -> None:
        self._book = ItemBook(items, policy.max_attempts, first_token)
        self._trials = Trials(self._book)
        self.items = self._book.items
        self.ready = self._book.ready
        self.policy = policy
        self.workers: dict[int, Worker] = {}
        self.planned = len(self.ready)
        self.restarts = 0
        self.stopping = False
        self._begun = False
        #: Kept up as they move, so that an event costs nothing for the workers that it is not about.
        self._able: set[int] = set()
        self._loading: dict[int, None] = {}
        self._living = self._held = 0
        #: At the last dispatch: items that nobody had, and workers that shared them.
        self._offered, self._sharing = -1, 0
        self._futile = 0
        self._coming = 0
        self._out = self._book.out
        self._now = 0.0
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            ev.WorkerStarted: self._worker_started,
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
            ev.Tick: self._tick,
        }

    def handle(self, event: ev.Event, now: float) -> list[do.Instruction]:
        """Take in what happened at `now` (monotonic seconds); return what is to be done, in order."""
        self._now = now
        self._book.out = self._out = []
        self._handlers[type(event)](event)
        self._dispatch(getattr(event, "worker", None))
        return self._out

    # -- what others ask -----------------------------------------------------------------------------

    @property
    def executing(self) -> bool:
        """Whether some item still has to be executed or is being executed."""
        return bool(self._book.pending or self._held)

    def living(self) -> list[int]:
        """Return the workers that are not known dead."""
        return [number for number, w in self.workers.items() if w.state not in (W.EXITED, W.LOST)]

    def slowest(self) -> tuple[int, int, float] | None:
        """Return (slot, item, since when) of the item that has been executed for the longest, if any is."""
        running = [(since, w.slot, item) for w in self.workers.values() for item, since in w.started.items()]
        since, slot, item = min(running, default=(0.0, -1, -1))
        return (slot, item, since) if running else None

    def loading(self) -> tuple[int, float] | None:
        """Return (slot, since when) of the worker that has been loading for the longest, if any is."""
        loading = [(w.born, w.slot) for w in self.workers.values() if w.state is W.STARTING]
        return min(((slot, since) for since, slot in loading), key=lambda pair: pair[1], default=None)

    # -- workers -------------------------------------------------------------------------------------

    def first_workers(self) -> list[do.Instruction]:
        """Return the starts that the run begins with: never more workers than items."""
        return [do.StartWorker(slot) for slot in range(min(self.policy.workers, self.planned))]

    def _worker_started(self, event: ev.WorkerStarted) -> None:
        self.workers[event.worker] = Worker(event.slot, born=self._now)
        self._living += 1
        self._place(event.worker)
        self._coming = max(0, self._coming - 1)

    def _place(self, number: int) -> None:
        """Note where a worker is, after every move of it."""
        worker = self.workers[number]
        if worker.state in ABLE:
            self._able.add(number)
        else:
            self._able.discard(number)
        if worker.state is W.STARTING and not worker.dismissed:
            self._loading[number] = None
        else:
            self._loading.pop(number, None)

    def _dismiss(self, number: int) -> None:
        self.workers[number].dismissed = True
        self._place(number)

    def _move(self, number: int, state: WorkerState) -> None:
        worker = self.workers[number]
        worker.state = check(worker.state, state)
        self._place(number)

    def _worker_ready(self, event: ev.WorkerReady) -> None:
        worker = self.workers[event.worker]
        if worker.dismissed:
            return  # it said so while it was being killed
        if worker.state is not W.STARTING:
            self._distrust(event.worker, "it said twice that it was ready")
            return
        self._move(event.worker, W.READY)
        worker.concurrency = event.concurrency
        worker.counted_at = self._now
        if self._begun:
            self._send_begin(event.worker)

    def _could_not_start(self, event: ev.WorkerCouldNotStart) -> None:
        worker = self.workers[event.worker]
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

    def _distrust(self, number: int, why: str) -> None:
        """End a worker whose words cannot be its own: something in its process writes into our pipe."""
        worker = self.workers[number]
        if not worker.dismissed:
            self._dismiss(number)
            self._out.append(do.KillWorker(number, f"was killed: {why}"))

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

    def _gone(self, event: ev.WorkerGone) -> None:
        worker = self.workers[event.worker]
        drained = worker.state is W.DRAINED
        # One that was dismissed while it was loading is missed by nobody.
        unneeded = worker.state is W.STARTING and worker.dismissed and not worker.why_not
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
                self._book.lose_for_good(item, event.worker)
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

    # -- items ---------------------------------------------------------------------------------------

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
            self._learn(worker, made)

    def _learn(self, worker: Worker, made: ProducedItem) -> None:
        known = len(self._trials.genuine)
        self._out.extend(self._trials.ended(worker.standing, made.item, made.error, worker.slot))
        if len(self._trials.genuine) > known:
            kinds = tuple(sorted(self._trials.genuine))
            self._out.extend(do.SendTrust(number, kinds) for number in sorted(self._able))

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
            if worker.state in ABLE:
                self._out.append(do.SendStop(number))
                self._move(number, W.DRAINING)
            elif worker.state is W.STARTING:
                self._dismiss(number)
                self._out.append(do.KillWorker(number, "was not needed any more"))

    # -- time and work -------------------------------------------------------------------------------

    def _tick(self, _: ev.Tick) -> None:
        for number, worker in self.workers.items():
            why = self._overdue(worker)
            if why and not worker.dismissed:
                self._dismiss(number)
                worker.why_not = why if worker.state is W.STARTING else ""
                self._out.append(do.KillWorker(number, f"was killed: {why}", stack=True))

    def _overdue(self, worker: Worker) -> str | None:
        """Say why a worker must not go on, or None. What it has produced is durable in any case."""
        if worker.state in (W.DRAINING, W.DRAINED) and not self.stopping:
            late = self._now - worker.ending_since > self.policy.end_timeout
            return "it had finished and did not end" if late else None
        if worker.state is W.STARTING:
            late = self._now - worker.born > self.policy.setup_timeout
            return (
                f"target and evaluators were still loading after {self.policy.setup_timeout:g} s (--setup-timeout)"
                if late
                else None
            )
        limit = self.policy.item_timeout
        if limit is None or worker.state not in (W.BUSY, W.READY, W.DRAINING):
            return None
        stuck = any(self._now - since > limit for since in worker.started.values())
        return f"an item took longer than {limit:g} s" if stuck else None

    def _dispatch(self, concerned: int | None) -> None:
        if not self._begun:
            return
        # Those that still load get their share too: the first to be ready must not take it all.
        sharing = len(self._able) + len(self._loading)
        for number in self._whom(concerned, sharing):
            worker = self.workers[number]
            self._fill(number, worker, sharing)
            if self._trials.should_retire(worker.standing, worker.held):
                self._retire(number)
        self._offered, self._sharing = self._book.pending, sharing
        if not self.executing and not self.stopping:
            self._drain_all()

    def _whom(self, concerned: int | None, sharing: int) -> list[int]:
        """Return the workers that may have use for an item now, and had none at the last dispatch.

        That is the one that the event is about. Everybody else had what he may hold: his window grows only when
        there is more to give, or fewer share it; and who may try an item that failed elsewhere depends on all.
        """
        if self._book.aside or self._book.pending > self._offered or sharing < self._sharing:
            return sorted(self._able, key=lambda number: (len(self.workers[number].held), number))
        return [concerned] if concerned in self._able else []

    def _drain_all(self) -> None:
        for number in sorted(self._able):
            self._move(number, W.DRAINING)
            self.workers[number].ending_since = self._now
            self._out.append(do.SendDrain(number))
        for number in list(self._loading):
            # One that is still loading (or hangs there) has nothing to wait for.
            self._dismiss(number)
            self._out.append(do.KillWorker(number, "was not needed any more"))

    def _fill(self, number: int, worker: Worker, sharing: int) -> None:
        standing, held = worker.standing, worker.held
        room = window(worker.concurrency, worker.rate, self._book.pending, sharing)
        room -= len(held) - len(standing.withheld)
        fresh = worker.done == 0
        items = self._trials.offer(standing, fresh=fresh, held=held, room=room, hope=self._hope())
        grants = [self._grant(item, number, worker) for item in items]
        while room > len(grants) and standing.trying is None:
            item = self._book.next_for(held)
            if item is None:
                break
            grants.append(self._grant(item, number, worker))
        if grants:
            worker.state = W.BUSY
            self._out.append(do.SendLease(number, tuple(grants)))

    def _grant(self, item: int, number: int, worker: Worker) -> do.Grant:
        worker.held.add(item)
        self._held += 1
        return self._book.lease(item, number)

    def _hope(self) -> bool:
        """Whether a worker is there, or on its way, in which an item may be tried that failed in another."""
        if not self._book.aside or self._coming:
            return bool(self._coming)
        for worker in self.workers.values():
            coming = worker.state is W.STARTING and not worker.dismissed and not worker.why_not
            there = worker.state in (W.READY, W.BUSY) and not worker.standing.withheld
            fresh = worker.done == 0 and not worker.held
            known = worker.standing.proven or worker.standing.trying is not None
            if coming or (there and (fresh or known)):
                return True
        return False

    def _retire(self, number: int) -> None:
        worker = self.workers[number]
        kinds = ", ".join(sorted({shown(kind) for kind in worker.standing.withheld.values()}))
        worker.standing.retired = True
        self._move(number, W.DRAINING)
        worker.ending_since = self._now
        self._out.append(do.SendRetire(number))
        self._out.append(
            do.Say(
                f"worker {worker.slot} is retired: {len(worker.standing.withheld)} item(s) failed in it with "
                f"{kinds}, which may be the fault of its process; one of them is tried in a fresh one"
            )
        )


def _held(lost: list[int], executing: frozenset[int]) -> str:
    begun = len(executing.intersection(lost))
    held = f"; it held {len(lost)} item(s)" if lost else ""
    return f"{held} and was executing {begun} of them" if begun else held


def _told_alike(why: str, known: Iterable[str]) -> str:
    """Return a reason that is known and differs in the worker's log only, else `why`."""
    cause, log = why.partition(" (the traceback is in ")[::2]
    return next((one for one in known if log and one.startswith(f"{cause} (the traceback is in ")), why)
