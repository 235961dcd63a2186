"""What the supervisor's shell works with; made by session.py."""

from __future__ import annotations

import queue
from dataclasses import dataclass, field
from typing import Any

from evalrunner.clock import Clock
from evalrunner.config import Endpoint, RunConfig
from evalrunner.ledger.ledger import Ledger
from evalrunner.supervisor.confirm import Confirmer
from evalrunner.supervisor.crew import Crew
from evalrunner.supervisor.events import Event
from evalrunner.supervisor.experiment import Scope
from evalrunner.supervisor.folder import RunFolder
from evalrunner.supervisor.graves import Graves
from evalrunner.supervisor.observe import Observer
from evalrunner.supervisor.relay import Relay


@dataclass
class Parts:
    """The parts of one run.

    Attributes:
        scope: `session` in it is None until the experiment exists.
        session: number of this run of the command in the ledger.
        info: the service's GET /info, so that no worker has to ask again.
        events: what other threads report.
        notes: who -> what holds things up, for people.
        warnings: what belongs in the receipt.
    """

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
    info: dict[str, Any]
    events: queue.SimpleQueue[Event]
    notes: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def note(self) -> str:
        """Return one of the notes, or ""."""
        return next((text for text in self.notes.values() if text), "")
