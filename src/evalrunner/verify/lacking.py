"""Which evaluators a recorded run lacks. Pure.

A run that is there is never executed again for the sake of its scores: it is scored over what it recorded, and
only by the evaluators that it lacks. What evaluators an experiment of another tool was meant to have is written
down nowhere, so only those that the command names are asked for.

    our books, or the run's own metadata, say of an evaluator    it is lacking
    that it raised                                               unless a score of it is there all the same
    which keys it gave (none, maybe)                             where a score under one of them is gone
    nothing                                                      where neither a score that bears its name nor one
                                                                 under a key that it is known to give is there
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from evalrunner.protocol.evaluated import Evaluated, author
from evalrunner.verify.readback import Score


@dataclass(frozen=True)
class Scoring:
    """What is to be done about the scores of a run.

    Attributes:
        evaluators: those that it lacks.
        standing: keys under which others have scored it: a second score under them would only stand beside.
        stale: evaluator -> feedback that records its error, to be removed once it has scored.
        why: in words.
    """

    evaluators: tuple[str, ...]
    standing: tuple[str, ...] = ()
    stale: Mapping[str, Sequence[str]] = field(default_factory=dict)
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "evaluators": self.evaluators, "standing": self.standing, "stale": self.stale, "why": self.why,
        }  # fmt: skip

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Scoring:
        """Read what `to_json` gave."""
        return cls(tuple(facts["evaluators"]), tuple(facts["standing"]), facts["stale"], facts["why"])


class Standing:
    """The feedback of one run, seen by its authors.

    Args:
        names: the evaluators that could have written it, each with the keys that it is known to give.
    """

    def __init__(self, run_id: str, scores: Iterable[Score], names: Mapping[str, Collection[str]]) -> None:
        self._run = UUID(run_id)
        self._names = names
        self._good: set[str] = set()
        self._of: dict[str, list[Score]] = {}
        self._foreign: list[Score] = []
        for score in scores:
            who = author(self._run, score.id, score.key, (*names, ""), failed=score.failed)
            if not score.failed:
                self._good.add(score.id)
            if who is None:
                self._foreign.append(score)
            else:
                self._of.setdefault(who, []).append(score)

    def standing(self) -> tuple[str, ...]:
        """Return the keys under which others than our evaluators have scored the run."""
        return tuple(sorted({score.key for score in self._foreign if not score.failed}))

    def stale(self, name: str) -> list[str]:
        """Return the feedback that says that an evaluator failed."""
        keys = {name, *self._names[name]}
        mine = [score.id for score in self._of.get(name, ()) if score.failed]
        return mine + [score.id for score in self._foreign if score.failed and score.key in keys]

    def lacks(self, name: str, known: Evaluated | None) -> str | None:
        """Say why the run lacks an evaluator's scores, or None."""
        scored = any(not score.failed for score in self._of.get(name, ()))
        if known is None:
            return None if scored or self._has(name) else f"no score of {name}"
        if known.error is not None:
            return None if scored else f"{name} failed: {known.error}"
        foreign = set(self.standing())
        gone = {
            key for score, key in known.scores(self._run) if score not in self._good and key not in foreign
        }
        return f"the score {', '.join(sorted(gone))} of {name} is gone" if gone else None

    def _has(self, name: str) -> bool:
        """Whether somebody has scored the run under a key that the evaluator gives, as far as that is known."""
        return not (set(self._names[name]) or {name}).isdisjoint(self.standing())


def scoring(
    run_id: str,
    scores: Iterable[Score],
    names: Mapping[str, Collection[str]],
    known: Mapping[str, Evaluated],
) -> Scoring | None:
    """Return what a run lacks, or None.

    Args:
        names: the evaluators that are wanted, each with the keys that it is known to give.
        known: what is known of their turns on this run.
    """
    there = list(scores)
    if _all_there(UUID(run_id), there, names, known):
        return None
    standing = Standing(run_id, there, names)
    why = {name: text for name in names if (text := standing.lacks(name, known.get(name))) is not None}
    stale = {name: ids for name in names if (ids := standing.stale(name))}
    if not why and not stale:
        return None
    return Scoring(tuple(why), standing.standing(), stale, "; ".join(why.values()))


def _all_there(
    run_id: UUID, scores: Sequence[Score], names: Iterable[str], known: Mapping[str, Evaluated]
) -> bool:
    """Whether all that our books promise is there: nearly every run is so, and costs half of a closer look."""
    good = {score.id for score in scores if not score.failed}
    return len(good) == len(scores) and all(
        name in known
        and known[name].error is None
        and good.issuperset(one for one, _ in known[name].scores(run_id))
        for name in names
    )
