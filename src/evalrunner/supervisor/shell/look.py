"""One look at the experiment for many items: what came back, and what the others lack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_

from evalrunner.verify.apart import FAILURE, OUTAGE, culprits
from evalrunner.verify.readback import ReadBack, Score


@dataclass(frozen=True)
class Wanted:
    """What must come back for an item to be visible."""

    runs: tuple[str, ...]
    feedback: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What a look has found.

    Attributes:
        seen: items of which all came back, with the scores of their root runs.
        holes: the other items, with what is missing of them.
        unreadable: those of them at which the service fails.
    """

    seen: dict[int, tuple[Score, ...]] = field(default_factory=dict)
    holes: dict[int, str] = field(default_factory=dict)
    unreadable: frozenset[int] = frozenset()

    def __or__(self, other: Found) -> Found:
        return Found(self.seen | other.seen, self.holes | other.holes, self.unreadable | other.unreadable)


def look(readback: ReadBack, batch: dict[int, Wanted]) -> Found:
    """Look for these items.

    Raises:
        Exception: the experiment cannot be read at the moment, whoever is asked for.
    """
    found: list[Found] = []

    def ask(items: Sequence[int]) -> None:
        found.append(_look(readback, {item: batch[item] for item in items}))

    try:
        ask(list(batch))
    except OUTAGE:
        raise
    except FAILURE as error:
        holes = culprits(readback, ask, list(batch), error)
        told = {item: f"accepted, and it cannot be read back: {why}" for item, why in holes.items()}
        found.append(Found(holes=told, unreadable=frozenset(told)))
    return reduce(or_, found)


def _look(readback: ReadBack, batch: dict[int, Wanted]) -> Found:
    runs = readback.seen([run for wanted in batch.values() for run in wanted.runs])
    scored = [run for w in batch.values() if w.feedback for run in w.runs[:1]]
    of_roots: dict[str | None, list[Score]] = {}
    scores: set[str] = set()
    for score in readback.scores(scored):
        scores.add(score.id)
        of_roots.setdefault(score.run_id, []).append(score)
    # Scores of child runs are rare, and asked for only where some are missing.
    more = [run for w in batch.values() if not scores.issuperset(w.feedback) for run in w.runs[1:]]
    scores |= {score.id for score in readback.scores(more)}
    found = Found()
    for item, wanted in batch.items():
        hole = _hole(wanted, runs, scores)
        if hole:
            found.holes[item] = hole
        else:
            found.seen[item] = tuple(map(_bare, of_roots.get(wanted.runs[0], ())))
    return found


def _bare(score: Score) -> Score:
    """Return what a receipt says of a score: without ids, so that equal ones can be one, and without prose."""
    return replace(score, id="", run_id=None, comment=score.comment if score.failed else None)


def _hole(wanted: Wanted, runs: set[str], scores: set[str]) -> str | None:
    missing = [run for run in wanted.runs if run not in runs]
    if wanted.runs[0] in missing:
        return f"accepted, but its root run {wanted.runs[0]} does not come back"
    if missing:
        return f"{len(missing)} of {len(wanted.runs)} runs do not come back: {', '.join(missing[:3])}"
    absent = [score for score in wanted.feedback if score not in scores]
    if absent:
        return f"{len(absent)} of {len(wanted.feedback)} scores do not come back: {', '.join(absent[:3])}"
    return None
