"""What became of an evaluator on an item, and what evaluators are called: one form of a name everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from evalrunner.protocol.ids import failure_id, feedback_id

#: Where a root run's metadata says which evaluators ran on it without an error: name -> keys that they gave.
EVALUATORS = "evalrunner_evaluators"
#: Characters of an error's text that are kept; a model's whole answer may be in it.
LONGEST = 2000


@dataclass(frozen=True)
class Evaluated:
    """One evaluator's turn on one item.

    Attributes:
        name: the evaluator's.
        keys: of the scores that it gave to the item's run, in order; a key that it gave twice is there twice.
        error: what it raised, as `repr` shows it, or None. One that raised gave no score.
    """

    name: str
    keys: tuple[str, ...] = ()
    error: str | None = None

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Evaluated:
        """Read what `to_json` gave."""
        return cls(facts["name"], tuple(facts["keys"]), facts["error"])

    def scores(self, run_id: UUID) -> Iterator[tuple[str, str]]:
        """Return (id, key) of each of its scores of a run."""
        seen: dict[str, int] = {}
        for key in self.keys:
            index = seen.get(key, 0)
            seen[key] = index + 1
            yield str(feedback_id(run_id, self.name, key, index)), key

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"name": self.name, "keys": list(self.keys), "error": self.error}


def object_name(evaluator: Any) -> str:
    """Return what an evaluator that was handed over as an object is called."""
    name = getattr(evaluator, "__name__", None) or getattr(evaluator, "_name", None)
    return sayable(str(name or type(evaluator).__name__))


def sayable(text: str) -> str:
    """Return `text` without what no encoder can write: lone surrogates become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


#: Scores of one evaluator under one key on one run that are looked for.
_REPEATS = 3


def author(run_id: UUID, feedback: str, key: str, names: Iterable[str], *, failed: bool) -> str | None:
    """Return which of these evaluators made a feedback, told by its id; None if it was none of them.

    The name "" is code that posted by itself: a target, or an evaluator beside its result.

    Args:
        failed: it records an error.
    """
    among = list(names)
    for index in range(_REPEATS):
        for name in among:
            if failed and name and feedback == str(failure_id(run_id, name, key)):
                return name
            if not (failed and name) and feedback == str(feedback_id(run_id, name, key, index)):
                return name
    return None
