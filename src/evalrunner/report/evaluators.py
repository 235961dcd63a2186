"""What the evaluators came to: per feedback key over every planned item, and every error by its text.

Whose a score is, is told by its id, which is made of the evaluator's name. What a target (or anybody else)
posted by itself is nobody's score and makes no row.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from evalrunner.protocol.evaluated import Evaluated, author
from evalrunner.report.receipt import EvaluatorEntry, EvaluatorErrors
from evalrunner.verify.readback import Score


@dataclass(frozen=True)
class Judged:
    """A planned item with a run that counts.

    Attributes:
        label: how the receipt names it.
        evaluated: what our own books know of its evaluators; empty for a run that another made.
    """

    run_id: str
    label: str
    evaluated: Sequence[Evaluated] = ()


@dataclass
class _Key:
    """One feedback key, summed up; items are numbers of `Judged`s."""

    authors: set[str] = field(default_factory=set)
    scored: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    total: float = 0.0
    numbers: int = 0
    values: Counter[str] = field(default_factory=Counter)

    def add(self, item: int, score: Score) -> None:
        if score.failed:
            self.failed.add(item)
            return
        self.scored.add(item)
        if score.score is not None:
            self.total += score.score
            self.numbers += 1
        elif score.value is not None:
            self.values[str(score.value)] += 1


class Scoreboard:
    """Adds up the scores of an experiment.

    Args:
        items: the planned items that have a run.
        planned: how many items are planned.
        guessed: evaluators that are known beside those that the items name, each with the keys that it is
            guessed to give.
    """

    def __init__(
        self, items: Sequence[Judged], planned: int, guessed: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._items = items
        self._planned = planned
        self._guessed = guessed or {}
        self._place = {item.run_id: place for place, item in enumerate(items)}
        self._keys: defaultdict[str, _Key] = defaultdict(_Key)
        #: Who has a score on which item.
        self._spoke: set[tuple[int, str]] = set()
        #: Errors that are not in our books: (item, whose, text) -> key. The SDK may record one twice.
        self._foreign: dict[tuple[int, str, str], str] = {}
        #: Feedback that no evaluator gave: key -> how much of it.
        self.other: Counter[str] = Counter()

    def add(self, scores: Iterable[tuple[str, Score]]) -> None:
        """Take scores that were read back, each with the run that it is of."""
        for run_id, score in scores:
            place = self._place.get(run_id)
            if place is not None:
                self._add(place, score)

    def _add(self, place: int, score: Score) -> None:
        item = self._items[place]
        who = self._author(item, score)
        if who == "" or (who is None and score.source != "model"):
            self.other[score.key] += 1
            return
        key = self._keys[score.key]
        key.add(place, score)
        if who:
            key.authors.add(who)
            if not score.failed:
                self._spoke.add((place, who))
        if score.failed and who not in {each.name for each in item.evaluated}:
            self._foreign[(place, who or score.key, score.comment or "an error without a text")] = score.key

    def _author(self, item: Judged, score: Score) -> str | None:
        """Return whose a score is; "" for nobody's, None where it cannot be told."""
        if not score.id:
            return self._likely(item, score)
        known = dict.fromkeys((*(each.name for each in item.evaluated), *self._guessed, ""))
        return author(UUID(item.run_id), score.id, score.key, known, failed=score.failed)

    def _likely(self, item: Judged, score: Score) -> str | None:
        """Tell by the key, of one of our own whose id was not kept: our books say who gave which."""
        if score.source != "model":
            return ""
        for each in item.evaluated:
            if score.failed and each.error is not None:
                if score.key in (each.name, *self._guessed.get(each.name, ())):
                    return each.name
            elif not score.failed and score.key in each.keys:
                return each.name
        return None if score.failed else ""

    def entries(self) -> list[EvaluatorEntry]:
        """Return one row per key that evaluators gave, or failed to give."""
        self._attribute()
        return [self._entry(name, key) for name, key in sorted(self._keys.items())]

    def _attribute(self) -> None:
        """Give way to the keys that are real: an error's guessed key is a row only where there is no other."""
        real: defaultdict[str, set[str]] = defaultdict(set)
        for name, key in self._keys.items():
            for who in key.authors if key.scored else ():
                real[who].add(name)
        guessed = [name for name, key in self._keys.items() if not key.scored and key.authors]
        for name in guessed:
            if all(real[who] for who in self._keys[name].authors):
                del self._keys[name]
        for place, item in enumerate(self._items):
            for each in item.evaluated:
                if each.error is not None:
                    for name in real[each.name]:
                        self._keys[name].failed.add(place)

    def _entry(self, name: str, key: _Key) -> EvaluatorEntry:
        failed = key.failed - key.scored
        silent = {
            place
            for place, item in enumerate(self._items)
            if place not in key.scored and place not in failed and self._ran(item, key.authors, name)
        }
        n = len(key.scored)
        return EvaluatorEntry(
            key=name,
            n=n,
            mean=key.total / key.numbers if key.numbers else None,
            errors=len(failed),
            missing=self._planned - n - len(failed) - len(silent),
            of=self._planned,
            values=dict(key.values),
            evaluator=", ".join(sorted(key.authors)) or None,
            none=len(silent),
        )

    @staticmethod
    def _ran(item: Judged, authors: set[str], name: str) -> bool:
        """Whether an evaluator of a key ran on an item, and gave nothing under it."""
        given = [each.keys for each in item.evaluated if each.name in authors and each.error is None]
        return bool(given) and not any(name in keys for keys in given)

    def errors(self) -> list[EvaluatorErrors]:
        """Return every error of an evaluator, the most frequent first, with the items that it was raised on."""
        groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for place, item in enumerate(self._items):
            for each in item.evaluated:
                # A score of its own that stands there has taken the error's place: another folder's.
                if each.error is not None and (place, each.name) not in self._spoke:
                    groups[(each.name, each.error)].append(item.label)
        for (place, who, text), name in self._foreign.items():
            # A later score of the same evaluator, or under the same key, has taken the error's place.
            mine = (key for known, key in self._keys.items() if known == name or who in key.authors)
            if not any(place in key.scored for key in mine):
                groups[(who, text)].append(self._items[place].label)
        found = [EvaluatorErrors(who, text, labels) for (who, text), labels in groups.items()]
        return sorted(found, key=lambda one: (-len(one.items), one.evaluator, one.error))

    def speechless(self) -> list[str]:
        """Return the evaluators that ran, never failed, and gave no score at all."""
        ran = {each.name for item in self._items for each in item.evaluated if each.error is None}
        spoke = {each.name for item in self._items for each in item.evaluated if each.keys or each.error}
        return sorted(ran - spoke)
