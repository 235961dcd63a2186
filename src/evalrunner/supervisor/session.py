"""One run of the command, from the first question to the service to the last line of the ledger."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from langsmith import Client

from evalrunner.clock import SYSTEM, Clock
from evalrunner.config import Endpoint, RunConfig
from evalrunner.engines.base import Engine
from evalrunner.engines.registry import make_engine
from evalrunner.errors import ExperimentBusy, RunBroken, ServiceError, TargetError
from evalrunner.ledger.ledger import Ledger
from evalrunner.service.errors import told
from evalrunner.supervisor.finish import finish, silence
from evalrunner.supervisor.outcome import Outcome
from evalrunner.supervisor.recover import recover
from evalrunner.supervisor.setup.admission import open_folder, release, take
from evalrunner.supervisor.setup.check import preflight
from evalrunner.supervisor.setup.claim import Claim, Keeper
from evalrunner.supervisor.setup.experiment import create, resumable
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.link import Link
from evalrunner.supervisor.setup.meant import read_meant
from evalrunner.supervisor.setup.owner import Owner
from evalrunner.supervisor.setup.plan import make_plan
from evalrunner.supervisor.setup.plan_ledger import write_plan
from evalrunner.supervisor.setup.refusals import broken, check_config, check_owner
from evalrunner.supervisor.setup.scope import Scope, find_scope
from evalrunner.supervisor.setup.walltime import TimeLeft, time_left
from evalrunner.supervisor.shell.context import RunContext, make_context
from evalrunner.supervisor.shell.judgment import make_state
from evalrunner.supervisor.shell.loop import Supervisor
from evalrunner.supervisor.shell.progress import Observer
from evalrunner.supervisor.shell.signals import Stops, counted_signals, interrupting_signals
from evalrunner.supervisor.shell.snapshots import ProgressCounter
from evalrunner.verify import findings


@contextlib.contextmanager
def run_session(
    config: RunConfig, endpoint: Endpoint, observer: Observer, *, plan_only: bool, clock: Clock = SYSTEM
) -> Iterator[Outcome]:
    """Run, and hand out what there is to account for while ledger and folder are still open.

    Raises:
        UsageError: something that was asked for cannot be done; nothing has been executed.
        ExperimentBusy: so it is because another command runs the experiment.
    """
    check_config(config)
    job = time_left(config, os.environ, clock)
    # A plan has one worker, which imports beside us; a forkserver's would keep us waiting until that has imported.
    engine = make_engine(start_method="spawn" if plan_only else config.start_method)
    engine.warm_up()
    link = Link.open(endpoint)
    with told(link.client):
        scope = find_scope(link.client, config)
    stops = Stops()
    with contextlib.ExitStack() as stack:
        stack.callback(engine.close)
        place = _folder(config, scope, stack, plan_only=plan_only)
        claim = Claim(scope.experiment_id, Owner.myself(place, clock.utcnow(), os.environ), clock)
        if not plan_only:
            take(claim, link, config, scope, observer.line)
            stack.callback(lambda: release(claim, link, stops.left()))
            stack.callback(Keeper(claim, link.hasty_client()).stop)
        folder = open_folder(place, config, observer.line)
        stack.callback(folder.close)
        ledger = _ledger(folder, scope)
        stack.callback(ledger.close)
        # Of a plan nothing needs to be finished: Ctrl-C ends it at once.
        if plan_only:
            stops = stack.enter_context(interrupting_signals())
        else:
            stops = stack.enter_context(counted_signals(observer.line, config.drain_timeout, job, clock))
            if job is not None:
                observer.line(f"{job}: the run is to be over before")
        check_owner(ledger, folder, scope)
        number, scope = _begin_session(ledger, scope, clock)
        context = make_context(config, link, folder, ledger, number, scope, claim, engine, observer, clock)
        stack.callback(lambda: context.close(stops.left()))
        if claim.refused:
            context.course.findings.append(findings.unclaimed(claim.refused))
        session = _Session(context, engine, stops, job)
        try:
            yield session.look() if plan_only else session.carry_out()
        except (TargetError, ServiceError, ExperimentBusy, KeyboardInterrupt):
            if scope.session is None and context.scope.session is None:
                folder.clear()
            raise
        except (sqlite3.OperationalError, OSError) as error:
            raise RunBroken(broken(error, folder, context.scope, config)) from error


def _folder(config: RunConfig, scope: Scope, stack: contextlib.ExitStack, *, plan_only: bool) -> Path:
    if plan_only:
        # A plan reads the experiment, and leaves alone what another run may be writing at this moment.
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evalrunner-plan-")))
    return config.run_dir or (config.home or Path()) / ".evalrunner" / "runs" / str(scope.experiment_id)


def _ledger(folder: RunFolder, scope: Scope) -> Ledger:
    """Open the folder's ledger; a new one where the last run ended before it had made its experiment.

    It has executed nothing, and the id that it had drawn is nobody's.
    """
    ledger = Ledger(folder.ledger)
    begun = ledger.get_meta("run") is not None or ledger.highest_token() > 0
    if scope.session is None and ledger.get_meta("experiment_id") and not begun:
        ledger.close()
        folder.forget()
        ledger = Ledger(folder.ledger)
    return ledger


def _begin_session(ledger: Ledger, scope: Scope, clock: Clock) -> tuple[int, Scope]:
    """Note in the ledger that the command has begun; return its number, and the scope with the folder's salt."""
    with ledger.transaction():
        ledger.set_meta("experiment_id", str(scope.experiment_id))
        if ledger.get_meta("salt") is None:
            ledger.set_meta("salt", "" if scope.session is None else secrets.token_hex(8))
        number = ledger.begin_session(clock.utcnow().isoformat())
    return number, replace(scope, salt=ledger.get_meta("salt"))


class _Session:
    """What one run of the command does, in order.

    Args:
        stops: how often the user has asked for an end.
        job: what the run may take of its job's time, where that is known.
    """

    def __init__(self, context: RunContext, engine: Engine, stops: Stops, job: TimeLeft | None) -> None:
        self._context, self._engine, self._stops, self._job = context, engine, stops, job
        self._config, self._clock, self._link = context.config, context.clock, context.link
        self._readback = context.link.reader(str(context.scope.experiment_id))
        self._began = context.clock.monotonic()

    def look(self) -> Outcome:
        """Plan, and import target and evaluators meanwhile; execute nothing.

        Raises:
            TargetError: they cannot be imported.
        """
        log = self._context.folder.logs / "worker-0.log"
        with preflight(self._engine, self._config, self._link.endpoint, log) as answer:
            outcome = self.plan()
            outcome.checked = answer()
        return outcome

    def plan(self) -> Outcome:
        """Read the dataset and the experiment; work out what is missing."""
        context = self._context
        with told(self._link.client):
            roots = list(self._readback.roots()) if context.scope.session is not None else []
            reading, found = read_meant(self._link.client, context.ledger, self._config, context.scope, roots)
            plan = make_plan(
                context.scope,
                reading.ids,
                roots,
                context.ledger,
                self._readback,
                retry_errors=self._config.retry_errors,
                evaluators=self._config.spec.evaluator_names,
            )
        write_plan(context.ledger, plan, self._clock.utcnow().timestamp())
        outcome = Outcome(
            self._config, context.scope, reading, plan, context.ledger, context.folder, self._readback,
            context.session,
        )  # fmt: skip
        outcome.findings.extend(found)
        outcome.seconds["planning"] = self._clock.monotonic() - self._began
        return outcome

    def carry_out(self) -> Outcome:
        """Recover, plan, execute, confirm, describe."""
        context = self._context
        if context.scope.session is not None:
            with told(self._link.client):
                recover(context, self._readback, self._stops)
        with self._stops.interrupting():
            outcome = self.plan()
        began = self._clock.monotonic()
        if (outcome.plan.missing or outcome.plan.score) and not self._stops():
            self._supervise(outcome)
        outcome.stopped = bool(self._stops() or context.course.taken)
        outcome.left = self._left
        outcome.scope = context.scope
        outcome.seconds["executing"] = self._clock.monotonic() - began
        if outcome.scope.session is not None:
            client = self._client(outcome)
            if not (context.course.gone or context.course.taken or outcome.silence):
                self._confirm_loose(client)
            finish(context, client, self._engine, outcome, self._stops)
        outcome.findings.extend(context.course.findings)
        with context.ledger.transaction():
            context.ledger.end_session(context.session, self._clock.utcnow().isoformat(), outcome.restarts)
        outcome.seconds["total"] = self._clock.monotonic() - self._began
        return outcome

    def _left(self) -> float:
        return self._stops.left()

    def _client(self, outcome: Outcome) -> Client:
        """Return what asks from here on: with little patience, and not at all, where the run was stopped."""
        if not outcome.stopped:
            return self._link.client
        client, outcome.readback = self._link.brief(self._left(), str(outcome.scope.experiment_id))
        outcome.silence = silence(client, self._left())
        return client

    def _confirm_loose(self, client: Client) -> None:
        scope = self._context.scope
        self._context.loose.confirm(
            client,
            (scope.name, str(scope.experiment_id)),
            newer=self._link.newer,
            deadline=min(self._config.visible_deadline, self._left()),
            clock=self._clock,
            stop_asked=self._stops,
        )

    def _supervise(self, outcome: Outcome) -> None:
        context = self._context
        state = make_state(self._config, context.ledger, outcome.plan, self._job)
        progress = ProgressCounter(len(outcome.plan.complete), self._clock.monotonic())
        supervisor = Supervisor(
            context, state, progress, lambda guessed: self._begin(outcome, guessed), self._stops
        )
        try:
            supervisor.run()
        finally:
            outcome.restarts = state.restarts
            outcome.scores = context.confirmer.scores()

    def _begin(self, outcome: Outcome, guessed: dict[str, list[str]]) -> Scope:
        context, scope, ledger = self._context, self._context.scope, self._context.ledger
        if scope.session is None:
            with told(self._link.client):
                scope = create(
                    self._link.client, self._config, scope, outcome.reading, guessed, context.claim.made()
                )
        elif other := context.claim.other(self._link.client):
            raise ExperimentBusy(
                f"another evalrunner has begun to run this experiment at the same moment ({other})"
            )
        with ledger.transaction():
            ledger.set_meta("evaluators", guessed)
            ledger.set_meta("run", resumable(scope, self._config))
        return scope
