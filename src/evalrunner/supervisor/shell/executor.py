"""Carrying out what the state decided: the ledger first, then processes and spools. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast
from uuid import UUID

import orjson

from evalrunner.protocol.ids import root_run_id
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.orders import Begin, Drain, Lease, LeasedItem, Retire, Stop, Trust
from evalrunner.protocol.rows import WorkerRow
from evalrunner.protocol.worker import WorkerOrder
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.setup.environment import worker_environment
from evalrunner.supervisor.shell.confirm import Wanted
from evalrunner.supervisor.shell.context import RunContext
from evalrunner.supervisor.shell.snapshots import ProgressCounter
from evalrunner.verify import findings


class Executor:
    """Carries out instructions.

    Args:
        workers: how many processes share the machine.
        started: called with the number and slot of every worker that was started.
        aborted: called with the sentence of an `Abort`.
    """

    def __init__(
        self,
        context: RunContext,
        progress: ProgressCounter,
        workers: int,
        *,
        started: Callable[[int, int], None],
        aborted: Callable[[str], None],
    ) -> None:
        self._p = context
        self._progress = progress
        self._workers = workers
        self._started = started
        self._next_worker = 1 + max((row.worker for row in context.ledger.workers()), default=0)
        self._effects: dict[type[Any], Callable[[Any], None]] = {
            do.StartWorker: self._start_worker,
            do.SendBegin: self._send_begin,
            do.SendLease: self._send_lease,
            do.SendDrain: lambda order: context.pool.send(order.worker, Drain()),
            do.SendStop: lambda order: context.pool.send(order.worker, Stop()),
            do.SendRetire: lambda order: context.pool.send(order.worker, Retire()),
            do.SendTrust: lambda order: context.pool.send(order.worker, Trust(list(order.kinds))),
            do.KillWorker: lambda order: context.pool.kill(order.worker, order.why, stack=order.stack),
            do.WriteErrorRun: self._write_error_run,
            do.Say: lambda order: context.observer.line(order.text),
            do.Warn: self._warn,
            do.Abort: lambda order: aborted(order.error),
        }

    def carry_out(self, instructions: list[do.Instruction]) -> None:
        """Commit every write, then do the rest in order.

        A death in between loses no fact that was acted upon: a lease stands in the ledger before the
        worker hears of it.
        """
        writes = [each for each in instructions if isinstance(each, (do.Write, do.Tell))]
        if writes:
            self._commit(writes)
        for instruction in instructions:
            effect = self._effects.get(type(instruction))
            if effect is not None:
                effect(instruction)

    def _commit(self, writes: list[do.Write | do.Tell]) -> None:
        now = self._p.clock.utcnow().timestamp()
        with self._p.ledger.transaction():
            for write in writes:
                if isinstance(write, do.Write):
                    self._write(write)
            self._p.ledger.tell([(now, w.item, w.worker, w.token, w.what) for w in writes])
        self._let_go(write for write in writes if isinstance(write, do.Write))
        accepted = [w.item for w in writes if isinstance(w, do.Write) and w.state is ItemState.ACCEPTED]
        if accepted:
            self._p.confirmer.want({item: self._wanted(item) for item in accepted})

    def _let_go(self, writes: Iterable[do.Write]) -> None:
        """Remove the segments that these writes, committed now, make superfluous."""
        reclaimer = self._p.reclaimer
        for write in writes:
            if write.made is not None and write.worker is not None:
                reclaimer.need(write.worker, write.made.segment, write.item)
            elif write.state is ItemState.VISIBLE:
                reclaimer.release(write.item)
        reclaimer.let_go()

    def _wanted(self, item: int) -> Wanted:
        runs, feedback = self._p.ledger.ids_of(item)
        return Wanted(tuple(runs), tuple(feedback))

    def _write(self, write: do.Write) -> None:
        self._progress.write(write)
        if write.made is not None:
            self._progress.names.pop(write.item, None)
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

    def _start_worker(self, order: do.StartWorker) -> None:
        number, self._next_worker = self._next_worker, self._next_worker + 1
        folder, config = self._p.folder, self._p.config
        spool = folder.spool / f"{number:06d}.spool"
        born_with = WorkerOrder(
            number,
            order.slot,
            config.spec,
            config.worker,
            self._p.link.endpoint,
            folder.logs / f"worker-{order.slot}.log",
            env=worker_environment(config, self._p.link.endpoint, order.slot, self._workers),
        )
        pid, born = self._p.pool.start(born_with, spool, folder.boards / f"{number:06d}.board")
        with self._p.ledger.transaction():
            self._p.ledger.add_worker(
                WorkerRow(number, self._p.session, order.slot, pid, born, str(spool), None)
            )
        self._started(number, order.slot)

    def _send_begin(self, order: do.SendBegin) -> None:
        handle, session = self._p.pool.handles.get(order.worker), self._p.scope.session
        if handle is None:
            return  # it was ready, and died before it was told
        assert session is not None, "the experiment exists before anybody begins"
        self._p.pool.send(
            order.worker,
            Begin(
                session.model_dump(mode="json"),
                str(handle.spool),
                str(handle.board),
                self._p.scope.repetitions,
                self._p.link.info,
                dict(self._p.config.metadata),
            ),
        )

    def _send_lease(self, order: do.SendLease) -> None:
        self._p.pool.send(order.worker, Lease([self._leased(grant) for grant in order.grants]))

    def _leased(self, grant: do.Grant) -> LeasedItem:
        example_id, body, repetition = self._p.ledger.example_of(grant.item)
        scope = self._p.scope
        run_id = root_run_id(
            scope.experiment_id, UUID(example_id), repetition, grant.attempt, scope.epoch, scope.salt
        )
        self._progress.names[grant.item] = example_id[:8] + (f" #{repetition}" if repetition else "")
        # The example goes through as the bytes that it is.
        example = cast("dict[str, Any]", orjson.Fragment(body))
        if grant.score:
            recorded, todo = self._p.ledger.scoring_of(grant.item)
            return LeasedItem(
                grant.item, grant.token, example, repetition, grant.attempt, recorded,
                evaluators=todo["evaluators"], standing=todo["standing"],
            )  # fmt: skip
        return LeasedItem(
            grant.item, grant.token, example, repetition, grant.attempt, str(run_id), final=grant.final
        )

    def _warn(self, order: do.Warn) -> None:
        self._p.observer.line(order.text)
        self._p.course.findings.append(findings.worker_replaced(order.text))

    def _write_error_run(self, order: do.WriteErrorRun) -> None:
        if order.score:
            run_id, todo = self._p.ledger.scoring_of(order.item)
            guessed = self._p.ledger.get_meta("evaluators") or {}
            keys = {name: guessed.get(name) or [name] for name in todo["evaluators"]}
            self._p.error_runs.write_for_scores(order, UUID(run_id), keys, self._p.scope)
            return
        _, body, repetition = self._p.ledger.example_of(order.item)
        self._p.error_runs.write(order, orjson.loads(body), repetition, self._p.scope)
