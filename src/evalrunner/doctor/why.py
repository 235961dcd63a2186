"""What is known of a cause, and how what was found where the experiment was made narrows a class of causes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from evalrunner.doctor.causes import SILENT, Cause
from evalrunner.doctor.inside import Inside

#: What no log tells, and what mends itself.
_PASSING = frozenset({Cause.STILL_RUNNING, Cause.READ_LAG, Cause.DATASET_CHANGED})


@dataclass(frozen=True)
class Why:
    """What is known of the cause.

    Attributes:
        causes: one that is certain, or those that the evidence leaves, likeliest first; none: nothing tells.
        evidence: what says so, as a sentence.
    """

    causes: tuple[Cause, ...] = ()
    certain: bool = False
    evidence: str = ""


def certain(cause: Cause, evidence: str) -> Why:
    """Return that one cause is certain."""
    return Why((cause,), True, evidence)


def narrowed(causes: tuple[Cause, ...], evidence: str, inside: Inside, *, partly: bool) -> Why:
    """Narrow a class by what was found inside: a variable, a line of a log. None of it says which runs it cost.

    Args:
        partly: it accounts for some of the items, and not for all.
    """
    hints = [one for one in causes if one in inside.settings or one in inside.vague]
    if inside.vague.intersection(hints):
        # Under `evaluate` it loses nothing, and around a target of one's own everything.
        hints = [one for one in hints if one is not Cause.TRACING_OFF]
    if hints:
        seen = ", ".join(
            inside.settings.get(one) or f"{one.value} {inside.told[one]} x in the log" for one in hints
        )
        others = [one for one in causes if partly and (one in SILENT or one in _PASSING) and one not in hints]
        return Why((*hints, *others), False, f"{evidence}; {seen}")
    if not inside.logs:
        return Why(causes, False, evidence)
    silent = tuple(one for one in causes if one in SILENT or one in _PASSING)
    return Why(silent or causes, False, f"{evidence}; the log tells of nothing that would have lost them")
