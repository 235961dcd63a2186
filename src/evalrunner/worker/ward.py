"""Failures that may be this process's fault are held back, until it is known whose they are.

    an item fails like a spoilt process would ──> held, and reported so ──┬─ a later item succeeds here ─> published
                                                                          ├─ "it fails elsewhere too"    ─> published
                                                                          └─ "go": this worker ends, and the
                                                                             items are tried in a fresh one

A death in between costs nothing: what is held was never durable, and is executed again like any item in flight.
Everything here happens on the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evalrunner.protocol.suspicion import ENOUGH, kind_of, may_be_the_process
from evalrunner.worker.code.condition import changed, condition


@dataclass(frozen=True)
class Held:
    """One failure that is held back.

    Attributes:
        seen: how many items had begun in this process when it failed.
        publish, drop: let it count; forget it.
    """

    kind: str
    seen: int
    publish: Callable[[], None]
    drop: Callable[[], None]


class Ward:
    """Which failures of this worker wait for a verdict.

    Args:
        freed: called when some are waited for no more.
    """

    def __init__(self, freed: Callable[[], None]) -> None:
        self._freed = freed
        self._held: list[Held] = []
        self._genuine: set[str] = set()
        self._healthy = condition()
        self._begun = 0

    @property
    def full(self) -> bool:
        """Whether it is time to wait: what is begun now would fail too."""
        return len(self._held) >= ENOUGH

    def begin(self) -> int:
        """Note that an item begins; return how many did before it."""
        self._begun += 1
        return self._begun - 1

    def suspicion(self, error: str, place: int) -> str | None:
        """Return the kind of a failure that may be this process's fault, None for one that is the item's own.

        Args:
            error: as the run carries it.
            place: what `begin` returned: the first item of a process meets nothing that another has left.
        """
        kind = kind_of(error)
        if place == 0 or kind in self._genuine:
            return None
        spoilt = may_be_the_process(error) or changed(self._healthy, condition())
        return kind if spoilt else None

    def hold(self, kind: str, publish: Callable[[], None], drop: Callable[[], None]) -> None:
        """Keep a failure back."""
        self._held.append(Held(kind, self._begun, publish, drop))

    def well(self, place: int) -> None:
        """Note that an item has succeeded: what failed before it began was not this process's fault."""
        if not self._held:
            return
        freed = [held for held in self._held if held.seen <= place]
        if freed:
            self._healthy = condition()
        self._free(freed)

    def believe(self, kinds: list[str]) -> None:
        """Let failures of these kinds count from now on: they happen in fresh processes too."""
        self._genuine.update(kinds)
        self._free([held for held in self._held if held.kind in self._genuine])

    def forget(self) -> None:
        """Drop what is held: it is executed again, elsewhere or by a later run."""
        held, self._held = self._held, []
        for each in held:
            each.drop()

    def _free(self, freed: list[Held]) -> None:
        if not freed:
            return
        self._held = [held for held in self._held if held not in freed]
        self._freed()
        for each in freed:
            each.publish()
