"""One run of the command, from the first question to the service to the last line of the ledger."""

from __future__ import annotations

import contextlib
import errno
import queue
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from langsmith import Client
from requests import RequestException

from evalrunner.advice import go_on
from evalrunner.clock import SYSTEM, Clock
from evalrunner.config import Endpoint, RunConfig
from evalrunner.delivery.sending.spools import SpoolSender
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.engines.local import LocalEngine
from evalrunner.errors import RunBroken, RunFolderError, ServiceError, TargetError, UsageError
from evalrunner.ledger.ledger import Ledger
from evalrunner.service import client as service
from evalrunner.service.capabilities import only_newer_reads, takes_multipart, takes_zstd
from evalrunner.service.errors import cause, told
from evalrunner.service.preflight import check
from evalrunner.shortage import Shortage, shortage
from evalrunner.supervisor.core.events import Event, LooseNews
from evalrunner.supervisor.core.items import Item
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.state import SupervisorState
from evalrunner.supervisor.finish import finish
from evalrunner.supervisor.outcome import Outcome
from evalrunner.supervisor.recover import recover
from evalrunner.supervisor.setup.check import preflight
from evalrunner.supervisor.setup.dataset import nothing, read_examples
from evalrunner.supervisor.setup.experiment import create
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.plan import Plan, make_plan, write_plan
from evalrunner.supervisor.setup.scope import Scope, find_scope
from evalrunner.supervisor.shell.confirm import Confirmer
from evalrunner.supervisor.shell.context import RunContext
from evalrunner.supervisor.shell.error_runs import ErrorRuns
from evalrunner.supervisor.shell.loop import Supervisor
from evalrunner.supervisor.shell.loose import LooseBook
from evalrunner.supervisor.shell.pool import WorkerPool
from evalrunner.supervisor.shell.progress import Observer
from evalrunner.supervisor.shell.reclaim import Reclaimer
from evalrunner.supervisor.shell.relay import Relay
from evalrunner.supervisor.shell.signals import counted_signals, interrupting_signals
from evalrunner.supervisor.shell.snapshots import ProgressCounter
from evalrunner.supervisor.shell.watch import Watch
from evalrunner.verify.readback import ReadBack

#: Every item has a row in the ledger and a place in memory.
MOST_ITEMS = 5_000_000


@contextlib.contextmanager
def run_session(
    config: RunConfig, endpoint: Endpoint, observer: Observer, *, plan_only: bool, clock: Clock = SYSTEM
) -> Iterator[Outcome]:
    """Run, and hand out what there is to account for while ledger and folder are still open.

    Raises:
        UsageError: something that was asked for cannot be done; nothing has been executed.
    """
    _check(config)
    engine = LocalEngine(config.start_method)
    engine.warm_up()
    client = service.make_client(endpoint)
    info: dict[str, Any] = check(client).model_dump(mode="json")
    if not takes_multipart(info):
        raise ServiceError(
            "this LangSmith does not take POST /runs/multipart, which evalrunner needs; update it"
        )
    with told(client):
        scope = find_scope(client, config)
    with contextlib.ExitStack() as stack:
        folder = RunFolder(_folder(config, scope, stack, plan_only=plan_only))
        stack.callback(folder.close)
        ledger = Ledger(folder.ledger)
        stack.callback(ledger.close)
        # Of a plan nothing needs to be finished: Ctrl-C ends it at once.
        signals = interrupting_signals() if plan_only else counted_signals(observer.line)
        stops = stack.enter_context(signals)
        session = _Session(
            config, endpoint, observer, clock, engine, client, scope, folder, ledger, info, stops
        )
        stack.callback(session.close)
        try:
            yield session.look() if plan_only else session.carry_out()
        except (TargetError, ServiceError):
            if scope.session is None:
                _remove(folder)
            raise
        except (sqlite3.OperationalError, OSError) as error:
            raise RunBroken(_broken(error, folder, session.scope, config)) from error


def _folder(config: RunConfig, scope: Scope, stack: contextlib.ExitStack, *, plan_only: bool) -> Path:
    if plan_only:
        # A plan reads the experiment, and leaves alone what another run may be writing at this moment.
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evalrunner-plan-")))
    return config.run_dir or (config.home or Path()) / ".evalrunner" / "runs" / str(scope.experiment_id)


def _broken(error: Exception, folder: RunFolder, scope: Scope, config: RunConfig) -> str:
    """Say why a run ended in the middle, and how it goes on. (Every error of `requests` is an OSError too.)"""
    if isinstance(error, (RequestException, ConnectionError, TimeoutError)) and error.errno != errno.EPIPE:
        found = Shortage(f"LangSmith cannot be reached ({cause(error)})", "try again later")
    else:
        found = shortage(error, folder.path)
    return (
        f"the run had to end: {found.cause}; what was produced is in {folder.path}: {found.remedy}, then go on "
        f"with: {go_on(config, scope.name, made=scope.session is not None)}"
    )


def _belongs(ledger: Ledger, folder: RunFolder, scope: Scope) -> None:
    """Refuse a folder that holds another experiment: its spools may hold what was never delivered."""
    owner = ledger.get_meta("experiment_id")
    if owner not in (None, str(scope.experiment_id)):
        raise RunFolderError(
            f"the run folder {folder.path} belongs to experiment {owner}; name another one with --run-dir"
        )


def _bound(examples: int, repetitions: int) -> None:
    if examples * repetitions > MOST_ITEMS:
        raise UsageError(
            f"{examples} examples with {repetitions} repetitions are {examples * repetitions} items, and a run "
            f"takes {MOST_ITEMS} at most: lower --repetitions or --limit"
        )


def _check(config: RunConfig) -> None:
    if config.workers < 1:
        raise UsageError(f"--workers is {config.workers}: at least one worker is needed")
    if config.spec.target is None and config.spec.pickled is None:
        raise UsageError("no target is given: name one with --target module:name or path/file.py:name")


def _remove(folder: RunFolder) -> None:
    """Remove the folder of a run that never began, but for its workers' logs: a traceback may be in them."""
    for path in folder.path.iterdir():
        if path.is_dir() and path != folder.logs:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def _missing(ledger: Ledger, plan: Plan) -> list[tuple[int, Item]]:
    """Return what is to be executed, in the plan's order, and then what is only to be scored.

    Not the ledger's rows, of 700 bytes each.
    """
    places = {key: place for place, key in enumerate([*plan.missing, *plan.score])}
    rows = (row for row in ledger.items() if (row.example_id, row.repetition) in places)
    found = [
        (
            places[row.example_id, row.repetition],
            (row.item, Item(row.state, row.attempt, row.token, score=row.scoring is not None)),
        )
        for row in rows
    ]
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


class _Session:
    """What a session works with, made in order."""

    def __init__(
        self,
        config: RunConfig,
        endpoint: Endpoint,
        observer: Observer,
        clock: Clock,
        engine: LocalEngine,
        client: Client,
        scope: Scope,
        folder: RunFolder,
        ledger: Ledger,
        info: dict[str, Any],
        stops: Callable[[], int],
    ) -> None:
        self._config, self._endpoint, self._clock = config, endpoint, clock
        self._engine, self._client, self._stops = engine, client, stops
        self._began = clock.monotonic()
        self._notes: dict[str, str] = {}
        self._compress = takes_zstd(info)
        self._newer = only_newer_reads(info)
        hasty = service.make_client(endpoint, retries=0)
        self._readback = ReadBack(client, str(scope.experiment_id), newer=self._newer, hasty=hasty)
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        _belongs(ledger, folder, scope)
        with ledger.transaction():
            ledger.set_meta("experiment_id", str(scope.experiment_id))
            if ledger.get_meta("salt") is None:
                ledger.set_meta("salt", "" if scope.session is None else secrets.token_hex(8))
            session = ledger.begin_session(clock.utcnow().isoformat())
        scope = replace(scope, salt=ledger.get_meta("salt"))
        self._post, self._experiment_id = events.put, str(scope.experiment_id)
        self._watch = Watch(service.make_client(endpoint, retries=0), events.put)
        sender = self._sender()
        self._context = RunContext(
            config, endpoint, folder, ledger, scope, session, WorkerPool(engine),
            relay=Relay(sender, events.put),
            confirmer=self._confirmer(),
            watch=self._watch,
            error_runs=self._error_runs(folder.spool / f"graves-{session:04d}.spool", sender),
            loose=LooseBook(ledger, session), reclaimer=Reclaimer(folder.spool, keep=config.worker.live),
            observer=observer, clock=clock, info=info, events=events,
            notes=self._notes,
        )  # fmt: skip

    @property
    def scope(self) -> Scope:
        """What it is about, the experiment included as soon as it is made."""
        return self._context.scope

    def look(self) -> Outcome:
        """Plan, and import target and evaluators meanwhile; execute nothing.

        Raises:
            TargetError: they cannot be imported.
        """
        log = self._context.folder.logs / "worker-0.log"
        with preflight(self._engine, self._config, self._endpoint, log) as answer:
            outcome = self.plan()
            outcome.checked = answer()
        return outcome

    def plan(self) -> Outcome:
        """Read the dataset and the experiment; work out what is missing."""
        context = self._context
        with told(self._client):
            reading = read_examples(
                self._client,
                context.ledger,
                str(context.scope.dataset_id),
                as_of=context.scope.as_of,
                splits=context.scope.splits,
                limit=context.scope.limit,
            )
            if not reading.ids:
                splits = context.scope.splits
                raise UsageError(
                    nothing(
                        self._config, context.scope.dataset_name, as_of=context.scope.as_of, splits=splits
                    )
                )
            _bound(len(reading.ids), context.scope.repetitions)
            plan = make_plan(
                context.scope,
                reading.ids,
                context.ledger,
                self._readback,
                retry_errors=self._config.retry_errors,
                evaluators=self._config.spec.evaluator_names,
            )
        write_plan(context.ledger, plan, self._clock.utcnow().timestamp())
        outcome = Outcome(
            self._config,
            context.scope,
            reading,
            plan,
            context.ledger,
            context.folder,
            self._readback,
            context.session,
        )
        outcome.seconds["planning"] = self._clock.monotonic() - self._began
        return outcome

    def carry_out(self) -> Outcome:
        """Recover, plan, execute, confirm, describe."""
        context = self._context
        if context.scope.session is not None:
            with told(self._client):
                recover(context, self._readback, self._stops)
            # What its last pass still finds must not be taken for an answer about this run's attempts.
            context.confirmer.stop()
            while not context.events.empty():
                event = context.events.get_nowait()
                if isinstance(event, LooseNews):
                    context.loose.note(event.spool, list(event.records))
            context.confirmer = self._confirmer()
        outcome = self.plan()
        began = self._clock.monotonic()
        if (outcome.plan.missing or outcome.plan.score) and not self._stops():
            self._supervise(outcome)
        outcome.stopped = bool(self._stops())
        outcome.scope = context.scope
        outcome.seconds["executing"] = self._clock.monotonic() - began
        if outcome.scope.session is not None:
            if not context.gone:
                self._confirm_loose()
            finish(context, self._client, self._engine, outcome, self._stops)
        outcome.warnings.extend(context.warnings)
        with context.ledger.transaction():
            context.ledger.end_session(context.session, self._clock.utcnow().isoformat(), outcome.restarts)
        outcome.seconds["total"] = self._clock.monotonic() - self._began
        return outcome

    def _confirm_loose(self) -> None:
        scope = self._context.scope
        self._context.loose.confirm(
            self._client,
            (scope.name, str(scope.experiment_id)),
            newer=self._newer,
            deadline=self._config.visible_deadline,
            clock=self._clock,
            stop_asked=self._stops,
        )

    def _supervise(self, outcome: Outcome) -> None:
        context = self._context
        state = SupervisorState(
            _missing(context.ledger, outcome.plan),
            Policy(
                self._config.workers,
                self._config.max_attempts,
                self._config.worker.item_timeout,
                setup_timeout=self._config.setup_timeout,
                end_timeout=180.0 + 2 * self._config.worker.grace,
            ),
            first_token=context.ledger.highest_token() + 1,
        )
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
        scope = self._context.scope
        if scope.session is None:
            with told(self._client):
                scope = create(self._client, self._config, scope, outcome.reading, guessed)
        spec = self._config.spec
        with self._context.ledger.transaction():
            self._context.ledger.set_meta("evaluators", guessed)
            # For `evalrunner resume`, which knows no more than this folder.
            self._context.ledger.set_meta(
                "run",
                {
                    "experiment": scope.name,
                    "id": str(scope.experiment_id),
                    "folder": str(spec.folder),
                    "target": spec.target,
                    "factory": spec.factory,
                    "evaluators": spec.evaluators,
                    "summary_evaluators": spec.summary_evaluators,
                },
            )
        return scope

    def _confirmer(self) -> Confirmer:
        # It reads in a thread of its own, so it has a client of its own.
        # It asks again by itself: what cannot be read must not hold up the others meanwhile.
        client = service.make_client(self._endpoint, retries=0)
        live = self._config.worker.live
        reader = ReadBack(client, self._experiment_id, newer=self._newer, attempts=1, openings=live)
        note = self._noting("read-back")
        return Confirmer(reader, self._post, note, self._clock, unseen=self._watch.nudge)

    def _sender(self) -> SpoolSender:
        return SpoolSender(
            self._transport,
            compress=self._compress,
            deadline=self._config.worker.delivery_deadline,
            note=self._noting("delivery"),
        )

    def _error_runs(self, spool: Path, sender: SpoolSender) -> ErrorRuns:
        note = self._noting("error runs")
        return ErrorRuns(spool, sender, post=self._post, note=note, clock=self._clock)

    def _transport(self) -> HttpTransport:
        return HttpTransport(self._endpoint.url, self._endpoint.key, workspace=self._endpoint.workspace)

    def _noting(self, who: str) -> Callable[[str], None]:
        def note(text: str) -> None:
            self._notes[who] = text

        return note

    def close(self) -> None:
        """Stop every thread."""
        self._watch.stop()
        self._context.confirmer.stop()
        self._context.error_runs.close()
        self._context.relay.stop()
