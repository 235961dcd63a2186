"""Everything about an experiment, in order: read it, see what is wrong, read what tells why. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from evalrunner.doctor.evidence import Evidence
from evalrunner.doctor.further import further
from evalrunner.doctor.look import look
from evalrunner.doctor.place import Place
from evalrunner.doctor.survey import Survey, survey
from evalrunner.doctor.symptoms import RECENT, Symptom, fresh, symptoms


@dataclass(frozen=True)
class Examined:
    """What is known of an experiment; `fresh`: more may come."""

    place: Place
    seen: Survey
    evidence: Evidence
    symptoms: Sequence[Symptom]
    fresh: bool = False


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
