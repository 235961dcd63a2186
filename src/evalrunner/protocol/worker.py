"""The life of one worker process.

    STARTING -> READY <-> BUSY -> DRAINING -> DRAINED -> EXITED ; from any living state LOST

From STARTING to DRAINING goes one that is not needed any more before it is ready.

LOST means: its sentinel fired without a goodbye, or the supervisor killed it.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from evalrunner.config import Endpoint, TargetSpec, WorkerConfig
from evalrunner.errors import IllegalTransition

#: Exit status of a worker that could not start (its target does not import, say): do not restart it.
COULD_NOT_START = 3
#: Exit status of a worker that ended itself because it could not go on (its spool cannot be written, say). Why, it
#: says with its last message; the status is for the case that not even that gets out. A target may use it too.
GAVE_UP = 4


@dataclass(frozen=True)
class WorkerOrder:
    """What a worker is born with; the engine hands it to the new process.

    Attributes:
        worker_id: unique over all incarnations of a run.
        slot: its place; also `EVALRUNNER_WORKER_ID`. A replacement takes the place of the dead.
        log: file for everything that the target prints.
        role: `evaluate`, `summarise` for the one that runs the summary evaluators, or `check` for the one that
            imports what the user named and says what it is.
        env: environment to set before the target is imported.
    """

    worker_id: int
    slot: int
    spec: TargetSpec
    config: WorkerConfig
    endpoint: Endpoint
    log: Path
    role: str = "evaluate"
    env: dict[str, str] = field(default_factory=dict)


class WorkerState(str, Enum):
    """Where a worker is."""

    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"
    DRAINING = "draining"
    DRAINED = "drained"
    EXITED = "exited"
    LOST = "lost"


_W = WorkerState
_LIVING = (_W.STARTING, _W.READY, _W.BUSY, _W.DRAINING, _W.DRAINED)
TABLE: frozenset[tuple[WorkerState, WorkerState]] = frozenset(
    {
        (_W.STARTING, _W.READY),
        (_W.STARTING, _W.DRAINING),
        (_W.READY, _W.BUSY),
        (_W.BUSY, _W.READY),
        (_W.READY, _W.DRAINING),
        (_W.BUSY, _W.DRAINING),
        (_W.DRAINING, _W.DRAINED),
        (_W.DRAINED, _W.EXITED),
        *((state, _W.LOST) for state in _LIVING),
    }
)


def check(before: WorkerState, after: WorkerState) -> WorkerState:
    """Return `after` if a worker may go there from `before`.

    Raises:
        IllegalTransition: it may not; nothing has changed.
    """
    if (before, after) not in TABLE:
        raise IllegalTransition(f"a worker cannot go from {before.value} to {after.value}")
    return after


def exit_reason(exitcode: int | None) -> str:
    """Say how a process ended, to follow its name in a sentence; a negative status is a signal, said by name."""
    if exitcode is None:
        return "was still running"
    if exitcode < 0:
        try:
            name = signal.Signals(-exitcode).name
        except ValueError:
            name = f"signal {-exitcode}"
        return f"was killed by {name}"
    # No status says by itself that it is one of ours: a target may end its process with any.
    return f"exited with status {exitcode}" + (
        "; if it gave up, why is in its log" if exitcode == GAVE_UP else ""
    )
