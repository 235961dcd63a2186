"""Everything about an experiment, in order: read it, see what is wrong, read what tells why. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event

from evalrunner.clock import Clock
from evalrunner.doctor.codes import Code
from evalrunner.doctor.evidence import Evidence
from evalrunner.doctor.further import further
from evalrunner.doctor.look import look
from evalrunner.doctor.place import Place
from evalrunner.doctor.survey import Survey, survey
from evalrunner.doctor.symptoms import RECENT, Symptom, fresh, symptoms

#: What a service that is late, or a process that goes on, can still mend.
_MAY_COME = frozenset(
    {Code.RUN_MISSING, Code.RUN_PENDING, Code.RUN_UNDER_WAY, Code.TRACE_HEADLESS, Code.SCORE_LOST}
)


@dataclass(frozen=True)
class Examined:
    """What is known of an experiment; `fresh`: more may come."""

    place: Place
    seen: Survey
    evidence: Evidence
    symptoms: Sequence[Symptom]
    fresh: bool = False


#: Seconds between two looks at what may yet come.
_PAUSE = 2.0


def settled(place: Place, clock: Clock, recent: timedelta, wait: float) -> Examined:
    """Examine an experiment; while something is missing that may yet come, again, for `wait` seconds at most.

    Raises:
        ServiceError: it cannot be read.
    """
    end = clock.monotonic() + wait
    while True:
        found = examine(place, clock.utcnow(), recent)
        left = end - clock.monotonic()
        if left <= 0 or not (found.fresh and _MAY_COME & {one.code for one in found.symptoms}):
            return found
        Event().wait(min(_PAUSE, left))
        place = place.again()


def examine(place: Place, now: datetime, recent: timedelta = RECENT) -> Examined:
    """Read an experiment, and what its symptoms ask for.

    Args:
        recent: what has no end and began within this time may still be under way.

    Raises:
        ServiceError: it cannot be read.
    """
    seen = survey(place)
    evidence = look(place, seen)
    found = [*symptoms(seen, now, recent), *further(seen, evidence)]
    return Examined(place, seen, evidence, found, fresh(seen, now, recent))
