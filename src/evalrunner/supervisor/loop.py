"""The supervisor's shell: turns what happens into events, carries out instructions, decides nothing.

    workers ──pipes, sentinels──┐                    ┌─> ledger (committed first)
    confirmer, relay ──queue────┼─> state.handle ────┼─> workers: Begin, Lease, Drain, Stop, SIGKILL
    signals, time ──────────────┘                    └─> relay, confirmer, graves

If this process dies anywhere here, its workers die within moments (the pipe ends, the forkserver ends), what
they had produced is in their spools, and the ledger holds every lease that was ever given.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from multiprocess.connection import wait

from evalrunner.clock import Clock
from evalrunner.config import Endpoint, RunConfig
from evalrunner.delivery.record import Header
from evalrunner.engines.base import WorkerPlan
from evalrunner.errors import SpoolError, TargetError
from evalrunner.ledger.ledger import Ledger, WorkerRow
from evalrunner.protocol.ids import root_run_id
from evalrunner.protocol.lease import IN_SPOOL, ItemState
from evalrunner.protocol.messages import (
    Ack,
    Begin,
    Drain,
    Lease,
    LeasedItem,
    Message,
    Ready,
    Report,
    StartFailed,
    Stop,
)
from evalrunner.supervisor import events as ev
from evalrunner.supervisor.confirm import Confirmer, Wanted
from evalrunner.supervisor.crew import Crew, how_it_ended, read_remains
from evalrunner.supervisor.environment import worker_environment
from evalrunner.supervisor.experiment import Scope
from evalrunner.supervisor.folder import RunFolder
from evalrunner.supervisor.graves import Graves
from evalrunner.supervisor.observe import Observer
from evalrunner.supervisor.relay import Relay
from evalrunner.supervisor.state import SupervisorState
from evalrunner.supervisor.tally import Tally

#: Seconds between snapshots, between looks at the workers' memory.
SNAPSHOT, MEASURE = 0.25, 1.0
#: Seconds that a stopped run still waits for what is on its way.
STOP_GRACE = 5.0


@dataclass
class Parts:
    """What the shell works with; made by api.py."""

    config: RunConfig
    endpoint: Endpoint
    folder: RunFolder
    ledger: Ledger
    scope: Scope
    session: int
    crew: Crew
    relay: Relay
    confirmer: Confirmer
    graves: Graves
    observer: Observer
    clock: Clock
    compress: bool
    events: queue.SimpleQueue[ev.Event]
    notes: dict[str, str] = field(default_factory=dict)


class Supervisor:
    """One run of the command over one experiment.

    Args:
        begin: called once, when the first worker has loaded the target: makes the experiment if it is new;
            takes the evaluators' feedback keys.
        stop_asked: how often the user has asked for an end so far.
    """

    def __init__(
        self,
        parts: Parts,
        state: SupervisorState,
        tally: Tally,
        begin: Callable[[list[str]], Scope],
        stop_asked: Callable[[], int],
    ) -> None:
        self._p = parts
        self._state = state
        self._tally = tally
        self._begin = begin
        self._stop_asked = stop_asked
        self._workers = min(parts.config.workers, state.planned)
        self._next_worker = 1 + max((row.worker for row in parts.ledger.workers()), default=0)
        self._began = False
        self._phase = "starting"
        self._abort: str | None = None
        self._shown = self._measured = 0.0
        self._quiet_since: float | None = None
        self._effects: dict[type[Any], Callable[[Any], None]] = {
            ev.StartWorker: self._start_worker,
            ev.SendBegin: self._send_begin,
            ev.SendLease: self._send_lease,
            ev.SendDrain: lambda i: parts.crew.send(i.worker, Drain()),
            ev.SendStop: lambda i: parts.crew.send(i.worker, Stop()),
            ev.KillWorker: lambda i: parts.crew.kill(i.worker, i.why, stack=True),
            ev.Bury: self._bury,
            ev.Say: lambda i: parts.observer.line(i.text),
            ev.Abort: self._remember_abort,
        }

    def run(self) -> None:
        """Execute the plan, bring everything out, confirm it.

        Raises:
            TargetError: no worker could load the target; nothing was executed.
        """
        try:
            self._carry_out(self._state.first_workers())
            while not self._finished():
                wait(list(self._p.crew.waitables()), timeout=0.05 if self._idle() else SNAPSHOT)
                self._turn()
        finally:
            # On every way out, also an unexpected one: no worker may go on without a supervisor.
            self._p.crew.kill_all("was killed at the end of the run")
        if not self._began and not self._state.stopping:
            raise TargetError(f"no worker lived long enough to load the target; see {self._p.folder.logs}")
        self._handle(self._p.confirmer.missed())
        self._show("done", force=True)

    # -- one turn ------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._look_for_stop()
        for number, message in self._p.crew.hear():
            self._hear(number, message)
        if self._abort is not None:
            raise TargetError(self._abort)
        for number in self._p.crew.dead():
            self._lay_out(number)
        while True:
            try:
                self._handle(self._p.events.get_nowait())
            except queue.Empty:
                break
        self._handle(ev.Tick())
        self._show(self._phase)

    def _hear(self, number: int, message: Message) -> None:
        if isinstance(message, Report):
            self._p.notes[f"worker {number}"] = message.note
            self._handle(ev.Reported(number, message))
        elif isinstance(message, Ready):
            self._handle(ev.WorkerReady(number, message.concurrency))
            if not self._began:
                self._began = True
                self._p.scope = self._begin(message.evaluator_keys)
                self._handle(ev.Begun())
                self._phase = "running"
        elif isinstance(message, StartFailed):
            self._handle(ev.WorkerCouldNotStart(number, message.error))
        elif isinstance(message, Ack):
            self._p.crew.members[number].undelivered = message.undelivered
            self._handle(ev.Acknowledged(number))

    def _lay_out(self, number: int) -> None:
        # What it said before it died is still in the pipe.
        for message in self._p.crew.members[number].process.receive():
            self._hear(number, message)
        member = self._p.crew.members[number]
        how = how_it_ended(member)
        clean = member.undelivered is not None
        made, suspects = ([], frozenset()) if clean else read_remains(member.spool, member.board)
        self._p.crew.bury(number)
        self._p.notes.pop(f"worker {number}", None)
        with self._p.ledger.transaction():
            self._p.ledger.worker_ended(number, how)
        self._handle(ev.WorkerGone(number, how, suspects, tuple(made)))
        if not clean or member.undelivered:
            self._send_on(member.spool)

    def _send_on(self, spool: Path) -> None:
        if not spool.exists():
            return  # it died before it had anything to do
        try:
            self._p.relay.take(spool, self._undelivered)
        except (SpoolError, OSError) as error:
            self._p.observer.line(f"what a dead worker left cannot be read: {error}")

    def _undelivered(self, header: Header) -> bool:
        if header.item is None:
            return True  # a target's own traces are in no book; sending them twice makes nothing twice
        item = self._state.items.get(header.item)
        return item is not None and item.token == header.token and item.state in IN_SPOOL

    def _handle(self, event: ev.Event) -> None:
        self._carry_out(self._state.handle(event, self._p.clock.monotonic()))

    # -- carrying out --------------------------------------------------------------------------------

    def _carry_out(self, instructions: list[ev.Instruction]) -> None:
        writes = [i for i in instructions if isinstance(i, (ev.Write, ev.Tell))]
        if writes:
            self._commit(writes)
        for instruction in instructions:
            effect = self._effects.get(type(instruction))
            if effect is not None:
                effect(instruction)

    def _commit(self, writes: list[ev.Write | ev.Tell]) -> None:
        now = self._p.clock.utcnow().timestamp()
        with self._p.ledger.transaction():
            for write in writes:
                if isinstance(write, ev.Write):
                    self._write(write)
            self._p.ledger.tell([(now, w.item, w.worker, w.token, w.what) for w in writes])
        wanted = {
            w.item: Wanted(*map(tuple, self._p.ledger.ids_of(w.item)))
            for w in writes
            if isinstance(w, ev.Write) and w.state is ItemState.ACCEPTED
        }
        if wanted:
            self._p.confirmer.want(wanted)

    def _write(self, write: ev.Write) -> None:
        self._tally.write(write)
        if write.made is not None:
            self._tally.names.pop(write.item, None)
            self._p.ledger.produced(write.made, write.worker or 0)
            return
        fields = {
            name: value
            for name in ("token", "attempt", "deaths", "reason")
            if (value := getattr(write, name)) is not None
        }
        if write.state is ItemState.LEASED:
            fields.update(session=self._p.session, worker=write.worker)
        self._p.ledger.move(write.item, write.state, **fields)

    def _start_worker(self, order: ev.StartWorker) -> None:
        number, self._next_worker = self._next_worker, self._next_worker + 1
        folder, config = self._p.folder, self._p.config
        spool = folder.spool / f"{number:06d}.spool"
        plan = WorkerPlan(
            number,
            order.slot,
            config.spec,
            config.worker,
            self._p.endpoint,
            folder.logs / f"worker-{order.slot}.log",
            env=worker_environment(config, self._p.endpoint, order.slot, self._workers),
        )
        pid, born = self._p.crew.start(plan, spool, folder.boards / f"{number:06d}.board")
        with self._p.ledger.transaction():
            self._p.ledger.add_worker(
                WorkerRow(number, self._p.session, order.slot, pid, born, str(spool), None, False)
            )
        self._handle(ev.WorkerStarted(number, order.slot))

    def _send_begin(self, order: ev.SendBegin) -> None:
        member, session = self._p.crew.members[order.worker], self._p.scope.session
        assert session is not None
        experiment = orjson.loads(orjson.dumps(session.model_dump(mode="json")))
        self._p.crew.send(
            order.worker,
            Begin(
                experiment, str(member.spool), str(member.board), self._p.scope.repetitions, self._p.compress
            ),
        )

    def _send_lease(self, order: ev.SendLease) -> None:
        self._p.crew.send(order.worker, Lease([self._leased(grant) for grant in order.grants]))

    def _leased(self, grant: ev.Grant) -> LeasedItem:
        example, repetition = self._p.ledger.example_of(grant.item)
        body = orjson.loads(example)
        run_id = root_run_id(
            self._p.scope.experiment_id, UUID(body["id"]), repetition, grant.attempt, self._p.scope.epoch
        )
        self._tally.names[grant.item] = body["id"][:8] + (f" #{repetition}" if repetition else "")
        return LeasedItem(grant.item, grant.token, body, repetition, grant.attempt, str(run_id))

    def _bury(self, order: ev.Bury) -> None:
        example, repetition = self._p.ledger.example_of(order.item)
        self._p.graves.bury(order, orjson.loads(example), repetition, self._p.scope)

    def _remember_abort(self, order: ev.Abort) -> None:
        self._abort = order.error

    # -- how far are we? -----------------------------------------------------------------------------

    def _idle(self) -> bool:
        return not self._p.crew.members

    def _finished(self) -> bool:
        if self._p.crew.members or (self._state.executing and not self._state.stopping):
            self._phase = "running" if self._state.executing and self._began else self._phase
            if self._began and not self._state.executing:
                self._phase = "draining"
            return False
        now = self._p.clock.monotonic()
        if self._p.relay.busy or self._p.graves.busy or not self._p.events.empty():
            self._phase, self._quiet_since = "draining", now
            return self._state.stopping and self._stopped_for(now) > STOP_GRACE
        self._phase = "confirming"
        self._p.confirmer.hurry()
        return self._confirmed(now)

    def _confirmed(self, now: float) -> bool:
        waiting = self._p.confirmer.waiting
        if waiting == 0 and self._p.events.empty():
            return True
        if self._quiet_since is None or waiting != self._waited_for:
            # The deadline counts from the last item that came back.
            self._quiet_since, self._waited_for = now, waiting
        limit = STOP_GRACE if self._state.stopping else self._p.config.visible_deadline
        return now - self._quiet_since > limit

    _waited_for = -1
    _stop_seen: float | None = None

    def _stopped_for(self, now: float) -> float:
        return now - (self._stop_seen if self._stop_seen is not None else now)

    def _look_for_stop(self) -> None:
        asked = self._stop_asked()
        if asked and self._stop_seen is None:
            self._stop_seen = self._p.clock.monotonic()
            self._p.observer.line("stopping: items in flight are finished, nothing new is begun")
            self._handle(ev.StopAsked())
        if asked > 1:
            self._p.crew.kill_all("was killed: the run was stopped twice")

    def _show(self, phase: str, *, force: bool = False) -> None:
        now = self._p.clock.monotonic()
        if now - self._measured > MEASURE:
            self._measured = now
            for number in self._p.crew.measure():
                self._p.crew.kill(number, "was killed: it had been stopped (SIGSTOP)")
        if force or now - self._shown > SNAPSHOT:
            self._shown = now
            note = next((text for text in self._p.notes.values() if text), "")
            self._p.observer.snapshot(self._tally.snapshot(phase, self._state, self._p.crew, note, now))
