"""A step of a repair, and what is asked of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from evalrunner.config import Endpoint
from evalrunner.doctor.codes import Code
from evalrunner.doctor.examine import Examined


class Kind(str, Enum):
    """The steps, in their order: what costs nothing comes first, and what a later one would pay for again."""

    METADATA = "metadata"
    FAILED_TRACES = "failed-traces"
    REBUILD = "rebuild"
    SCORES = "scores"
    RELINK = "relink"
    RUN = "run"
    CLOSE = "close"
    DUPLICATES = "duplicates"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        text: what it will do.
        executions: of the target, at most.
        do: does it, and returns what it has done. Dying in it costs nothing: the next repair finds what is left.
    """

    kind: Kind
    text: str
    do: Callable[[], str]
    executions: int = 0


@dataclass(frozen=True)
class Wishes:
    """What a repair may do, and with what.

    Attributes:
        failed_traces: where the SDK has kept requests that failed, or None.
        run: runs what is missing, and scores, or None where no target is configured; returns what it came to.
        relink: link runs that ended in an ignored error to their examples.
        delete_duplicates: delete the runs of an example that are too many.
    """

    endpoint: Endpoint
    failed_traces: Path | None = None
    run: Callable[[], str] | None = None
    relink: bool = False
    delete_duplicates: bool = False
    note: Callable[[str], None] = lambda text: None


def ids(now: Examined, code: Code) -> list[dict[str, Any]]:
    """Return the ids of a symptom, none if it is not there."""
    return [one for found in now.symptoms if found.code is code for one in found.ids]
