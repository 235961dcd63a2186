"""Waiting for many local workers at once; a look costs what has happened, not how many there are.

Descriptors are registered once, when a worker is started, and not for every look.
"""

from __future__ import annotations

import selectors
from typing import Any, Generic, Protocol, TypeVar

#: So often a sentinel may ring before its worker's end is seen (it does for a moment) and is still believed.
FALSE_ALARMS = 100


class Waitable(Protocol):
    """What a worker shows to whoever waits for it.

    Attributes:
        channel: becomes ready for reading when there is a message (or the end of the pipe).
        sentinel: becomes ready for reading when the process has ended.
        rings_at_its_end: whether it does so then, and not only when everything has ended that the process has forked.
    """

    @property
    def channel(self) -> int: ...

    @property
    def sentinel(self) -> int: ...

    @property
    def rings_at_its_end(self) -> bool: ...

    def exitcode(self) -> int | None: ...


W = TypeVar("W", bound=Waitable)


class Waiter(Generic[W]):
    """The workers of an engine that are not closed, and which of them have something for us."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._descriptors: dict[W, tuple[int, int]] = {}
        self._alarms: dict[W, int] = {}
        self._doubted: dict[W, None] = {}

    @property
    def workers(self) -> list[W]:
        """Return those that are not closed."""
        return list(self._descriptors)

    def add(self, worker: W) -> None:
        """Wait for this one too."""
        channel, sentinel = self._descriptors[worker] = worker.channel, worker.sentinel
        self._selector.register(channel, selectors.EVENT_READ, (worker, False))
        if worker.rings_at_its_end:
            self._selector.register(sentinel, selectors.EVENT_READ, (worker, True))
        else:
            self._doubted[worker] = None

    def remove(self, worker: W) -> None:
        """Wait for this one no more; its descriptors are still open."""
        channel, sentinel = self._descriptors.pop(worker, (None, None))
        if channel is not None and sentinel is not None:
            self._selector.unregister(channel)
            if worker not in self._doubted:
                self._selector.unregister(sentinel)
        self._doubted.pop(worker, None)
        self._alarms.pop(worker, None)

    def wait(self, seconds: float) -> list[W]:
        """Return the workers that have spoken or ended, each once."""
        rung: list[tuple[W, bool]] = [key.data for key, _ in self._selector.select(seconds)]
        found: dict[W, Any] = {
            worker: None for worker, ended in rung if not ended or self._is_believed(worker)
        }
        found.update((worker, None) for worker in self._doubted if worker.exitcode() is not None)
        return list(found)

    def _is_believed(self, worker: W) -> bool:
        """Tell whether a sentinel that rings tells the truth.

        It may be a pipe of which the worker has the other end, and its target may write into that: to wait for it
        would be to wait for nothing, in a circle. Such a worker is asked at every look instead.
        """
        if worker.exitcode() is not None:
            return True
        alarms = self._alarms[worker] = self._alarms.get(worker, 0) + 1
        if alarms >= FALSE_ALARMS:
            self._selector.unregister(self._descriptors[worker][1])
            self._doubted[worker] = None
        return False

    def close(self) -> None:
        """Let go of everything."""
        self._selector.close()
