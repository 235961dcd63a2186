"""What a session has at hand when the run has ended, with ledger and folder still open; see conclude.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from evalrunner.config import RunConfig
from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.reports import Ready
from evalrunner.protocol.rows import ItemRow
from evalrunner.supervisor.setup.dataset import Reading
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.plan import Plan
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.verify.codes import Finding
from evalrunner.verify.facts import Summary
from evalrunner.verify.readback import ReadBack, Score


@dataclass
class Outcome:
    """What is known when the run has ended; the receipt is computed from it.

    Attributes:
        session: number of this run of the command in the ledger.
        stopped: the user asked for an end.
        left: returns the seconds that a stopped run still has.
        seconds: what took how long.
        checked: what target and evaluators were found to be, of a plan.
        silence: why the service is asked nothing any more, or "".
        gone: that the experiment was deleted while the run went on, or "".
        taken: which command has taken the experiment over, or "".
        scores: of every item that came back during this run with scores, those of its root run, without ids.
    """

    config: RunConfig
    scope: Scope
    reading: Reading
    plan: Plan
    ledger: Ledger
    folder: RunFolder
    readback: ReadBack
    session: int
    stopped: bool = False
    left: Callable[[], float] = lambda: math.inf
    restarts: int = 0
    summary: Summary = field(default_factory=Summary)
    seconds: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    checked: Ready | None = None
    silence: str = ""
    gone: str = ""
    taken: str = ""
    scores: dict[int, tuple[Score, ...]] = field(default_factory=dict)

    def planned(self) -> list[ItemRow]:
        """Return the ledger's rows of the plan, in the dataset's order."""
        plan = self.plan
        keys = {*plan.complete, *plan.missing, *plan.unsent, *plan.unreadable, *plan.score}
        return [row for row in self.ledger.items() if (row.example_id, row.repetition) in keys]
