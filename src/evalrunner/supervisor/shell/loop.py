"""The supervisor's shell: turns what happens into events for the state, and its instructions over to the executor.

    workers ──through the engine┐                    ┌─> ledger (committed first)
    confirmer, relay ──queue────┼─> state.handle ────┼─> workers: Begin, Lease, Drain, Stop, SIGKILL
    signals, time ──────────────┘                    └─> relay, confirmer, error runs

If this process dies anywhere here, its workers die within moments (the pipe ends, the forkserver ends), what
they had produced is in their spools, and the ledger holds every lease that was ever given.
"""

from __future__ import annotations

from collections.abc import Callable

from evalrunner.delivery.spool.files import stem_of
from evalrunner.errors import TargetError
from evalrunner.protocol.messages import Message
from evalrunner.protocol.reports import Ack, Leaving, Ready, Report, SettingUp, StartFailed
from evalrunner.protocol.worker import WorkerState
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.state import SupervisorState
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.supervisor.shell.context import RunContext
from evalrunner.supervisor.shell.ending import Ending
from evalrunner.supervisor.shell.executor import Executor
from evalrunner.supervisor.shell.reaping import Reaper
from evalrunner.supervisor.shell.signals import Stops
from evalrunner.supervisor.shell.snapshots import ProgressCounter, loading_note
from evalrunner.verify import findings

#: Seconds between snapshots, between looks at the workers' memory; seconds of a turn when nobody works.
SNAPSHOT, MEASURE, IDLE = 0.25, 1.0, 0.05
#: Seconds within which what a worker has said is heard, also on a machine that has much else to do; looks in them.
HEARD, LOOKS = 0.4, 4
#: Seconds between two turns from which on this process was suspended; one that only has much to do is quicker.
PAUSE = 3.0


class Supervisor:
    """One run of the command over one experiment.

    Args:
        begin: called once, when the first worker has loaded the target: makes the experiment if it is new;
            takes the evaluators, each with the feedback keys that it is guessed to give.
        stops: how often an end was asked for so far.
    """

    def __init__(
        self,
        context: RunContext,
        state: SupervisorState,
        progress: ProgressCounter,
        begin: Callable[[dict[str, list[str]]], Scope],
        stops: Stops,
    ) -> None:
        self._p = context
        self._state = state
        self._progress = progress
        self._begin = begin
        self._stops = stops
        self._executor = Executor(
            context,
            progress,
            min(context.config.workers, state.planned),
            started=lambda number, slot: self._take(ev.WorkerStarted(number, slot)),
            aborted=self._abort,
        )
        self._reaper = Reaper(context, state, self._hear, self._handle)
        self._orders: list[do.Instruction] = []
        self._began = False
        self._ending = Ending(context, state, stops)
        self._shown = self._measured = self._looked = 0.0
        self._turned, self._usually = context.clock.monotonic(), SNAPSHOT
        limit = context.config.worker.item_timeout
        self._look_every = SNAPSHOT if limit is None else min(SNAPSHOT, limit / 4)

    def run(self) -> None:
        """Execute the plan, bring everything out, confirm it.

        Raises:
            TargetError: no worker could load the target; nothing was executed.
        """
        try:
            self._orders.extend(self._state.first_workers())
            self._act()
            while not self._finished():
                self._p.pool.wait(SNAPSHOT if self._p.pool.handles else IDLE)
                self._turn()
        except Exception:
            self._take_down()
            raise
        finally:
            # On every way out, also an unexpected one: no worker may go on without a supervisor.
            self._p.pool.kill_all("was killed at the end of the run")
            self._reaper.end_leftovers("the target")
            self._p.pool.close()
        if not self._began and not self._state.stopping:
            raise TargetError(f"no worker lived long enough to load the target; see {self._p.folder.logs}")
        missed = self._p.confirmer.missed()
        # Whatever came back and is not in it lies in the queue by now.
        while not self._p.events.empty():
            self._notice(self._p.events.get_nowait())
        if self._p.course.gone:
            missed = ev.Missed(dict.fromkeys(missed.items, self._p.course.gone))
        self._handle(missed)
        self._show("done", force=True)

    def _take_down(self) -> None:
        """Have what is set up taken down: nothing more will be executed, whatever the reason.

        A user's server that was started in a set-up must not be left because an experiment cannot be made. Whoever
        does not see the order before his set-up has said before that it begins (worker/main.py), and is heard.
        """
        pool = self._p.pool
        pool.stop_all()
        for _ in range(LOOKS if pool.handles.keys() - self._state.set_up() else 0):
            pool.wait(HEARD / LOOKS)
            for number, message in pool.hear():
                if isinstance(message, SettingUp):
                    self._take(ev.WorkerSetsUp(number))
        pool.retire(self._state.set_up(), self._state.policy.settle_timeout)

    # -- one turn ------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._look_for_pause(self._p.clock.monotonic())
        self._look_for_stop()
        for number, message in self._p.pool.hear():
            self._hear(number, message)
        while not self._p.events.empty():
            self._notice(self._p.events.get_nowait())
        self._look_at_all()
        # One commit for a whole turn.
        self._act()
        self._p.pool.kill_due()
        for number in self._p.pool.dead():
            self._reaper.reap(number)
        self._show(self._ending.phase)

    def _notice(self, event: ev.Event) -> None:
        if isinstance(event, (ev.Renamed, ev.DatasetGone)):
            self._p.heed(event)
            return
        if isinstance(event, ev.ExperimentGone):
            self._p.heed(event)
        self._take(event)

    def _look_at_all(self) -> None:
        """Look at every worker, now and then: what it executes, and whether something takes too long."""
        now = self._p.clock.monotonic()
        self._look_for_pause(now)
        if now - self._looked >= self._look_every:
            self._looked = now
            for number, items in self._p.pool.executing():
                self._take(ev.Executing(number, items))
            self._take(ev.Tick())

    def _hear(self, number: int, message: Message) -> None:
        if isinstance(message, Report):
            self._p.pool.handles[number].hear(message)
            self._p.loose.note(stem_of(self._p.pool.handles[number].spool), message.loose)
            for made in message.produced:
                self._p.reclaimer.heard_of(number, made.segment, made.seq)
            for one in message.loose:
                self._p.reclaimer.heard_of(number, one.segment, one.seq, loose=True)
            self._p.course.notes[f"worker {number}"] = message.note
            self._take(ev.Reported(number, message))
        elif isinstance(message, SettingUp):
            self._take(ev.WorkerSetsUp(number))
        elif isinstance(message, Ready):
            self._take(ev.WorkerReady(number, message.concurrency))
            if self._state.workers[number].state is WorkerState.READY:
                self._begin_once(message.evaluators)
        elif isinstance(message, StartFailed):
            worker = self._state.workers[number]
            if worker.state is WorkerState.STARTING or worker.let_go:
                self._p.pool.handles[number].killed_for = "could not start"
            self._take(ev.WorkerCouldNotStart(number, message.error, message.sure))
        elif isinstance(message, Leaving):
            self._p.pool.handles[number].killed_for = f"ended itself: {message.why}"
        elif isinstance(message, Ack):
            self._take(ev.Acknowledged(number))
            if self._state.workers[number].state is WorkerState.DRAINED:
                self._p.pool.handles[number].ack = message
                self._heed(self._p.pool.handles[number].process.slot, message)

    def _heed(self, slot: int, ack: Ack) -> None:
        if ack.trouble:
            self._p.course.findings.append(findings.worker_trouble(slot, ack.trouble))
        if ack.outside:
            self._p.course.findings.append(findings.foreign_clients(slot, ack.outside))

    def _begin_once(self, guessed: dict[str, list[str]]) -> None:
        if not self._began:
            self._began = True
            self._p.course.scope = self._begin(guessed)
            self._p.watch.begin(self._p.scope)
            self._take(ev.Begun())
            self._ending.phase = "running"

    def _take(self, event: ev.Event) -> None:
        if isinstance(event, ev.LooseNews):
            self._p.loose.note(event.spool, list(event.records))
            return
        self._orders.extend(self._state.handle(event, self._p.clock.monotonic()))

    def _act(self) -> None:
        self._p.loose.flush()
        while self._orders:  # carrying out may bring further events
            orders, self._orders = self._orders, []
            self._executor.carry_out(orders)

    def _handle(self, event: ev.Event) -> None:
        self._take(event)
        self._act()

    def _abort(self, error: str) -> None:
        raise TargetError(error)

    # -- how far are we? -----------------------------------------------------------------------------

    def _finished(self) -> bool:
        if not self._p.pool.handles:
            return self._ending.over()
        if self._began:
            self._ending.phase = "running" if self._state.executing else "draining"
        return False

    def _look_for_pause(self, now: float) -> None:
        """Tell how long nobody looked: `scontrol suspend` stops a job's workers too, and their items' time.

        Where every turn takes long, on a slow disk, none of them is a pause: items would have no limit any more.
        """
        gap, self._turned = now - self._turned, now
        if gap > max(PAUSE, 4 * self._usually):
            self._take(ev.Paused(gap))
        self._usually += 0.3 * (min(gap, 3 * PAUSE) - self._usually)

    def _look_for_stop(self) -> None:
        if self._p.claim.lost and not self._p.course.taken:
            self._p.heed(taken := ev.TakenOver(self._p.claim.lost))
            self._handle(taken)
        if self._state.out_of_time:
            self._stops.time_is_up()
        if self._ending.asked():
            self._handle(ev.StopAsked(self._stops.by_clock))
        if self._stops() > 1:
            self._p.pool.kill_all("was killed: the run was stopped twice")

    def _show(self, phase: str, *, force: bool = False) -> None:
        now = self._p.clock.monotonic()
        if now - self._measured > MEASURE:
            self._measured = now
            for number in self._p.pool.measure():
                self._p.pool.kill(number, "was killed: it had been stopped (SIGSTOP)")
        if force or now - self._shown > SNAPSHOT:
            self._shown = now
            self._p.course.notes["loading"] = loading_note(self._state, now)
            limit = self._p.config.worker.item_timeout
            self._p.course.notes["slowest"] = self._progress.slowest_note(self._state, now, limit)
            view = self._progress.snapshot(
                phase, self._state, self._p.pool, self._p.course.note(), now, self._stops()
            )
            self._p.observer.snapshot(view)
