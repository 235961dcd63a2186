"""Whose fault is a failure that a spoilt process would have too? Tried in a fresh worker, before it counts. Pure.

A worker holds such failures back and reports them. When it has nothing else to do, or several in a row, it is
retired: it ends, and the items are executed again. One of them goes alone, and first, to a fresh worker:

    it succeeds there ──────────> the old process was spoilt: the others follow it there
    it fails with that kind ────> failures of this kind are the items' own: they count, everywhere, from now on

Bounded: an execution that was held back counts against `max_attempts`, and the last one that an item has counts
however it ends. A kind costs one trial; an item that succeeded is never executed again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from evalrunner.protocol.suspicion import ENOUGH, kind_of
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.items import ItemBook


@dataclass(slots=True)
class Standing:
    """What is known of one worker's health.

    Attributes:
        withheld: items whose failure it holds back -> the kind of the error.
        trying: the item that it was given to try, alone.
        kind: of the error that the item had elsewhere.
        proven: it has come to an end with such an item, so the others may follow.
        retired: it was told to end.
    """

    withheld: dict[int, str] = field(default_factory=dict)
    trying: int | None = None
    kind: str = ""
    proven: bool = False
    retired: bool = False


def shown(kind: str) -> str:
    """Return a kind of error as people may read it."""
    return f"{kind}, ...)" if "(" in kind else kind


class Trials:
    """Which items wait for a fresh worker, and what was learned.

    Attributes:
        genuine: kinds of errors that happen in fresh workers too.
    """

    def __init__(self, book: ItemBook) -> None:
        self._book = book
        self.genuine: set[str] = set()

    def offer(self, standing: Standing, *, fresh: bool, held: set[int], room: int, hope: bool) -> list[int]:
        """Return what a worker is given of the items that wait for a trial.

        Args:
            fresh: it has executed nothing yet.
            hope: a fresh or proven worker is there or on its way; else any that is well must do.
        """
        if standing.trying is not None or not self._book.aside or standing.withheld:
            return []
        if standing.proven or not hope:
            return [self._book.next_aside()[0] for _ in range(min(room, len(self._book.aside)))]
        if not fresh or held or room <= 0:
            return []
        standing.trying, standing.kind = self._book.next_aside()
        return [standing.trying]

    def ended(self, standing: Standing, item: int, error: str | None, slot: int) -> list[do.Instruction]:
        """Learn from an item that has come to its end; return what to say."""
        standing.withheld.pop(item, None)
        if item != standing.trying:
            return []
        standing.trying, standing.proven = None, True
        if error is not None and kind_of(error) == standing.kind:
            self.genuine.add(standing.kind)
            return [
                do.Say(f"{shown(standing.kind)}: it happens in a fresh worker too, so such failures count")
            ]
        return [
            do.Warn(
                f"worker {slot} was replaced: items failed in it with {shown(standing.kind)}, and one of them did "
                "not when it was tried in a fresh worker; they were executed again there"
            )
        ]

    def should_retire(self, standing: Standing, held: set[int]) -> bool:
        """Tell whether a worker has to end because of what it holds back."""
        if standing.retired or not standing.withheld:
            return False
        return len(standing.withheld) >= ENOUGH or held <= standing.withheld.keys()

    def take_back(self, standing: Standing, held: set[int], worker: int) -> None:
        """Have the items of a dead worker tried elsewhere whose failures it held back."""
        for item, kind in standing.withheld.items():
            if item in held:
                held.discard(item)
                self._book.set_aside(item, worker, kind)
