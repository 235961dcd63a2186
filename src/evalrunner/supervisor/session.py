"""One run of the command, from the first question to the service to the last line of the ledger."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from langsmith import Client
from langsmith.schemas import LangSmithInfo

from evalrunner.clock import SYSTEM, Clock
from evalrunner.config import Endpoint, RunConfig
from evalrunner.delivery.transport import HttpTransport
from evalrunner.engines.local import LocalEngine
from evalrunner.errors import ServiceError, TargetError, UsageError
from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.lease import IN_SPOOL, ItemState
from evalrunner.supervisor.confirm import Confirmer
from evalrunner.supervisor.crew import Crew
from evalrunner.supervisor.dataset import Reading, read_examples
from evalrunner.supervisor.events import Event
from evalrunner.supervisor.experiment import Scope, create, find_scope, write_facts
from evalrunner.supervisor.folder import RunFolder
from evalrunner.supervisor.graves import Graves
from evalrunner.supervisor.loop import Parts, Supervisor
from evalrunner.supervisor.observe import Observer
from evalrunner.supervisor.plan import Plan, make_plan, write_plan
from evalrunner.supervisor.policy import Policy
from evalrunner.supervisor.recover import Recovery
from evalrunner.supervisor.relay import Relay
from evalrunner.supervisor.state import Item, SupervisorState
from evalrunner.supervisor.summarise import Summary, summarise
from evalrunner.supervisor.tally import Tally
from evalrunner.verify import service
from evalrunner.verify.readback import ReadBack


@dataclass
class Outcome:
    """What is known when the run has ended; the receipt is computed from it.

    Attributes:
        stopped: the user asked for an end.
        executed: whether anything was to be executed at all in this run.
    """

    config: RunConfig
    scope: Scope
    reading: Reading
    plan: Plan
    ledger: Ledger
    folder: RunFolder
    readback: ReadBack
    client: Client
    session: int
    stopped: bool
    restarts: int
    summary: Summary
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


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
    if not plan_only and config.start_method == "forkserver":
        engine.warm_up()
    client = service.make_client(endpoint)
    info = service.check(client)
    compress = _capabilities(info)
    scope = find_scope(client, config)
    fresh = scope.session is None
    with contextlib.ExitStack() as stack:
        folder = RunFolder(_folder(config, scope, stack, plan_only=plan_only))
        stack.callback(folder.close)
        ledger = Ledger(folder.ledger)
        stack.callback(ledger.close)
        stops = stack.enter_context(_signals())
        work = _Work(
            config, endpoint, observer, clock, engine, client, scope, folder, ledger, compress, stops
        )
        stack.callback(work.close)
        try:
            yield work.carry_out(plan_only=plan_only)
        except TargetError:
            if fresh:
                _remove(folder)
            raise


def _folder(config: RunConfig, scope: Scope, stack: contextlib.ExitStack, *, plan_only: bool) -> Path:
    if plan_only:
        # A plan reads the experiment, and leaves alone what another run may be writing at this moment.
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evalrunner-plan-")))
    return config.run_dir or Path(".evalrunner") / "runs" / str(scope.experiment_id)


def _check(config: RunConfig) -> None:
    if config.workers < 1:
        raise UsageError(f"--workers is {config.workers}: at least one worker is needed")
    if config.spec.target is None and config.spec.pickled is None:
        raise UsageError("no target is given: name one with --target module:name or path/file.py:name")


def _capabilities(info: LangSmithInfo) -> bool:
    config: dict[str, Any] = dict(info.batch_ingest_config or {})
    if not config.get("use_multipart_endpoint", True):
        raise ServiceError(
            "this LangSmith does not take POST /runs/multipart, which evalrunner needs: "
            "update it (0.8 or newer)"
        )
    return bool((info.instance_flags or {}).get("zstd_compression_enabled"))


class _Work:
    """The parts of a session, made in order; `carry_out` uses them."""

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
        compress: bool,
        stops: Callable[[], int],
    ) -> None:
        self._config, self._endpoint, self._observer, self._clock = config, endpoint, observer, clock
        self._engine, self._client, self._scope, self._folder = engine, client, scope, folder
        self._ledger, self._compress, self._stops = ledger, compress, stops
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._notes: dict[str, str] = {}
        self._readback = ReadBack(client, str(scope.experiment_id))
        self._confirmer = Confirmer(self._readback, self._events.put, self._noting("read-back"), clock)
        self._relay = Relay(
            self._transport,
            compress=compress,
            deadline=config.worker.delivery_deadline,
            post=self._events.put,
            note=self._noting("relay"),
        )
        self._graves: Graves | None = None

    def carry_out(self, *, plan_only: bool) -> Outcome:
        """Recover, plan, execute, confirm, describe."""
        began = self._clock.monotonic()
        seconds: dict[str, float] = {}
        with self._ledger.transaction():
            session = self._ledger.begin_session(self._clock.utcnow().isoformat())
        if self._scope.session is not None and not plan_only:
            self._recover()
        reading = read_examples(
            self._client,
            self._ledger,
            str(self._scope.dataset_id),
            as_of=self._scope.as_of,
            splits=self._scope.splits,
            limit=self._scope.limit,
        )
        plan = make_plan(
            self._scope, reading.ids, self._ledger, self._readback, retry_errors=self._config.retry_errors
        )
        write_plan(self._ledger, plan, self._clock.utcnow().timestamp())
        seconds["planning"] = self._clock.monotonic() - began
        outcome = Outcome(
            self._config, self._scope, reading, plan, self._ledger, self._folder, self._readback,
            self._client, session, stopped=False, restarts=0, summary=Summary(), seconds=seconds,
        )  # fmt: skip
        if not plan_only:
            self._execute(outcome)
        seconds["total"] = self._clock.monotonic() - began
        return outcome

    def _recover(self) -> None:
        Recovery(
            self._ledger,
            self._folder.spool,
            relay=self._relay,
            confirmer=self._confirmer,
            events=self._events,
            observer=self._observer,
            clock=self._clock,
            visible_deadline=self._config.visible_deadline,
            stop_asked=self._stops,
        ).run()

    def _execute(self, outcome: Outcome) -> None:
        began = self._clock.monotonic()
        if outcome.plan.missing and not self._stops():
            self._supervise(outcome)
        outcome.stopped = bool(self._stops())
        outcome.seconds["executing"] = self._clock.monotonic() - began
        if outcome.scope.session is not None:
            self._finish(outcome)
        with self._ledger.transaction():
            self._ledger.end_session(outcome.session, self._clock.utcnow().isoformat(), outcome.restarts)

    def _supervise(self, outcome: Outcome) -> None:
        keys = {(row.example_id, row.repetition): row for row in self._ledger.items()}
        wanted = [keys[key] for key in outcome.plan.missing]
        state = SupervisorState(
            ((row.item, Item(row.state, row.attempt, row.token)) for row in wanted),
            Policy(self._config.workers, self._config.max_attempts, self._config.worker.item_timeout),
            first_token=max((row.token for row in keys.values()), default=0) + 1,
        )
        crew = Crew(self._engine)
        self._graves = self._make_graves(outcome.session)
        parts = Parts(
            self._config, self._endpoint, self._folder, self._ledger, self._scope, outcome.session, crew,
            self._relay, self._confirmer, self._graves, self._observer, self._clock, self._compress,
            self._events, self._notes,
        )  # fmt: skip
        tally = Tally(len(outcome.plan.complete), self._clock.monotonic())
        supervisor = Supervisor(parts, state, tally, lambda found: self._begin(outcome, found), self._stops)
        try:
            supervisor.run()
        finally:
            outcome.restarts = state.restarts

    def _begin(self, outcome: Outcome, keys: list[str]) -> Scope:
        if outcome.scope.session is None:
            outcome.scope = create(self._client, self._config, outcome.scope, outcome.reading, keys)
        self._ledger.set_meta("evaluator_keys", keys)
        return outcome.scope

    def _make_graves(self, session: int) -> Graves:
        return Graves(
            self._folder.spool / f"graves-{session:04d}.spool",
            new_transport=self._transport,
            compress=self._compress,
            deadline=self._config.worker.delivery_deadline,
            post=self._events.put,
            note=self._noting("error runs"),
            clock=self._clock,
        )

    def _finish(self, outcome: Outcome) -> None:
        """Write the metadata once, run the summary evaluators once, let go of spools that are not needed."""
        keys: list[str] = self._ledger.get_meta("evaluator_keys") or []
        try:
            write_facts(self._client, outcome.scope, outcome.reading, keys)
        except Exception as error:
            outcome.warnings.append(f"the experiment's metadata could not be written: {error}")
        left = [row for row in self._ledger.items() if row.state in IN_SPOOL]
        if not left and not self._relay.must_keep:
            for path in self._folder.spool.glob("*.spool"):
                path.unlink()
        for path in self._folder.boards.glob("*.board"):
            path.unlink()
        complete = all(row.state is ItemState.VISIBLE for row in self._planned(outcome))
        if self._config.spec.summary_evaluators or self._config.spec.pickled:
            if complete and not outcome.stopped:
                outcome.summary = summarise(
                    self._config, self._endpoint, outcome.scope, self._engine, self._folder, self._client,
                    self._readback, self._counted(outcome),
                )  # fmt: skip
            elif self._config.spec.summary_evaluators:
                outcome.warnings.append("the summary evaluators wait until the experiment is complete")

    def _planned(self, outcome: Outcome) -> Iterator[Any]:
        keys = set(outcome.plan.complete) | set(outcome.plan.missing)
        return (row for row in self._ledger.items() if (row.example_id, row.repetition) in keys)

    def _counted(self, outcome: Outcome) -> dict[str, str]:
        return {row.run_id: row.example_id for row in self._planned(outcome) if row.run_id}

    def _transport(self) -> HttpTransport:
        return HttpTransport(self._endpoint.url, self._endpoint.key, workspace=self._endpoint.workspace)

    def _noting(self, who: str) -> Callable[[str], None]:
        def note(text: str) -> None:
            self._notes[who] = text

        return note

    def close(self) -> None:
        """Stop every thread."""
        self._confirmer.stop()
        self._relay.stop()
        if self._graves is not None:
            self._graves.close()


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], int]]:
    """Count SIGINT and SIGTERM instead of dying of them; only in the main thread."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: len(asked)
        return

    def handler(number: int, _: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 2:
            os._exit(128 + number)  # asked three times: everything that matters is on disk

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: len(asked)
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _remove(folder: RunFolder) -> None:
    """Remove the folder of a run that never began, but for its workers' logs: a traceback may be in them."""
    for path in folder.path.iterdir():
        if path == folder.logs:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
