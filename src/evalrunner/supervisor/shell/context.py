"""What the supervisor's shell works with; made by session.py."""

from __future__ import annotations

import queue
from dataclasses import dataclass, field, replace
from typing import Any

from evalrunner.clock import Clock
from evalrunner.config import Endpoint, RunConfig
from evalrunner.ledger.ledger import Ledger
from evalrunner.supervisor.core.events import DatasetGone, Event, ExperimentGone, Renamed
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.supervisor.shell.confirm import Confirmer
from evalrunner.supervisor.shell.error_runs import ErrorRuns
from evalrunner.supervisor.shell.loose import LooseBook
from evalrunner.supervisor.shell.pool import WorkerPool
from evalrunner.supervisor.shell.progress import Observer
from evalrunner.supervisor.shell.reclaim import Reclaimer
from evalrunner.supervisor.shell.relay import Relay
from evalrunner.supervisor.shell.watch import Watch


@dataclass
class RunContext:
    """What one run works with.

    Attributes:
        scope: `session` in it is None until the experiment exists.
        session: number of this run of the command in the ledger.
        info: the service's GET /info, so that no worker has to ask again.
        events: what other threads report.
        notes: who -> what holds things up, for people.
        warnings: what belongs in the receipt.
        gone: that the experiment was deleted while the run went on, or "".
        old_name: what the experiment was called before it was renamed, or "".
    """

    config: RunConfig
    endpoint: Endpoint
    folder: RunFolder
    ledger: Ledger
    scope: Scope
    session: int
    pool: WorkerPool
    relay: Relay
    confirmer: Confirmer
    watch: Watch
    error_runs: ErrorRuns
    loose: LooseBook
    reclaimer: Reclaimer
    observer: Observer
    clock: Clock
    info: dict[str, Any]
    events: queue.SimpleQueue[Event]
    notes: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    gone: str = ""
    old_name: str = ""

    def note(self) -> str:
        """Return the first two of the notes, or ""."""
        return "; ".join([text for text in self.notes.values() if text][:2])

    def heed(self, event: Renamed | ExperimentGone | DatasetGone) -> None:
        """Take in, and say, what somebody has done to the experiment or its dataset."""
        if isinstance(event, Renamed):
            self._rename(event)
            return
        if isinstance(event, ExperimentGone):
            lost = f"the dataset {self.scope.dataset_name!r} and with it the" if event.dataset else "the"
            self.gone = told = f"{lost} experiment {event.name!r} was deleted while the run went on"
        else:
            told = f"the dataset {self.scope.dataset_name!r} was deleted while the run went on"
        self.warnings.append(told)
        self.observer.line(told)

    def _rename(self, event: Renamed) -> None:
        self.scope, self.old_name = replace(self.scope, name=event.new), event.old
        with self.ledger.transaction():
            run = self.ledger.get_meta("run")
            if run is not None:
                self.ledger.set_meta("run", {**run, "experiment": event.new})
        told = f"the experiment {event.old!r} was renamed to {event.new!r} while the run went on"
        self.warnings.append(told)
        self.observer.line(told)
