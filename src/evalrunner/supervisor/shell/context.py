"""What one run of the command works with, made by one function and changed by nobody."""

from __future__ import annotations

import math
import queue
from dataclasses import dataclass

from evalrunner.clock import Clock
from evalrunner.config import RunConfig
from evalrunner.delivery.sending.spools import SpoolSender
from evalrunner.engines.base import Engine
from evalrunner.ledger.ledger import Ledger
from evalrunner.supervisor.core.events import DatasetGone, Event, ExperimentGone, Renamed, TakenOver
from evalrunner.supervisor.setup.claim import Claim
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.link import Link
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.supervisor.shell.confirm import Confirmer
from evalrunner.supervisor.shell.course import Course
from evalrunner.supervisor.shell.error_runs import ErrorRuns
from evalrunner.supervisor.shell.loose import LooseBook
from evalrunner.supervisor.shell.pool import WorkerPool
from evalrunner.supervisor.shell.progress import Observer
from evalrunner.supervisor.shell.reclaim import Reclaimer
from evalrunner.supervisor.shell.relay import Relay
from evalrunner.supervisor.shell.watch import Watch


@dataclass(frozen=True)
class RunContext:
    """One run of the command: what it is about, the books, and the parts of the shell.

    Attributes:
        session: number of this run of the command in the ledger.
        course: what changes while it goes on.
        events: what other threads report.
    """

    config: RunConfig
    link: Link
    folder: RunFolder
    ledger: Ledger
    session: int
    observer: Observer
    clock: Clock
    course: Course
    events: queue.SimpleQueue[Event]
    claim: Claim
    pool: WorkerPool
    watch: Watch
    confirmer: Confirmer
    relay: Relay
    error_runs: ErrorRuns
    loose: LooseBook
    reclaimer: Reclaimer

    @property
    def scope(self) -> Scope:
        """What it is about, the experiment included as soon as it is made."""
        return self.course.scope

    def heed(self, event: Renamed | ExperimentGone | TakenOver | DatasetGone) -> None:
        """Take in, and say, what somebody has done to the experiment or its dataset."""
        told = self.course.take(event)
        run = self.ledger.get_meta("run") if isinstance(event, Renamed) else None
        if run is not None:
            with self.ledger.transaction():
                self.ledger.set_meta("run", {**run, "experiment": self.scope.name})
        self.observer.line(told)

    def new_confirmer(self) -> Confirmer:
        """Return a further confirmer, for whoever asks for other ids than this run's."""
        return _confirmer(self.link, self.config, self.course, self.clock, self.events, self.watch)

    def close(self, seconds: float = math.inf) -> None:
        """Stop every thread; what waits for a silent service is left behind after so many seconds, if not before."""
        self.watch.stop(seconds)
        self.confirmer.stop(seconds)
        self.error_runs.close()
        self.relay.stop(seconds)


def make_context(
    config: RunConfig,
    link: Link,
    folder: RunFolder,
    ledger: Ledger,
    session: int,
    scope: Scope,
    claim: Claim,
    engine: Engine,
    observer: Observer,
    clock: Clock,
) -> RunContext:
    """Make the parts of the shell; their threads begin, and wait."""
    course, events = Course(scope), queue.SimpleQueue[Event]()
    watch = Watch(link.hasty_client(), events.put)
    # One sender for the spools of the dead and for error runs.
    deadline, note = config.worker.delivery_deadline, course.noting("delivery")
    sender = SpoolSender(link.transport, compress=link.compress, deadline=deadline, note=note)
    graves = folder.spool / f"graves-{session:04d}.spool"
    return RunContext(
        config, link, folder, ledger, session, observer, clock, course, events, claim,
        pool=WorkerPool(engine, clock),
        watch=watch,
        confirmer=_confirmer(link, config, course, clock, events, watch),
        relay=Relay(sender, events.put),
        error_runs=ErrorRuns(graves, sender, post=events.put, note=course.noting("error runs"), clock=clock),
        loose=LooseBook(ledger, session),
        reclaimer=Reclaimer(folder.spool, keep=config.worker.live),
    )  # fmt: skip


def _confirmer(
    link: Link,
    config: RunConfig,
    course: Course,
    clock: Clock,
    events: queue.SimpleQueue[Event],
    watch: Watch,
) -> Confirmer:
    # It reads in a thread of its own, and asks again by itself.
    reader = link.hasty_reader(str(course.scope.experiment_id), live=config.worker.live)
    return Confirmer(reader, events.put, course.noting("read-back"), clock, unseen=watch.nudge)
