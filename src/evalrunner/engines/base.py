"""How worker processes come to exist, are waited for, looked at and ended: what every engine offers the supervisor.

Nothing here needs a pipe to the worker or a worker on this machine: orders are handed over, what was said and who
has ended is asked of the engine, and facts are as new as the engine knows them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evalrunner.protocol.messages import Message
from evalrunner.protocol.worker import WorkerOrder


@dataclass(frozen=True)
class Usage:
    """What a worker takes at the moment.

    Attributes:
        rss: resident memory in bytes.
        stopped: it is stopped (SIGSTOP), and does nothing.
    """

    rss: int
    stopped: bool = False


class WorkerProcess(Protocol):
    """One started worker, as seen from outside."""

    worker_id: int
    slot: int

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def born(self) -> float:
        """When its process was made, which names it for ever together with the pid; 0.0 if that is not known."""

    @property
    def broken(self) -> str:
        """Why nothing that it says can be understood any more, or "": it must end then."""

    def send(self, message: Message) -> None:
        """Give an order, without waiting; a worker that is gone loses it without an error."""

    def receive(self) -> list[Message]:
        """Return the messages that are there, without waiting."""

    def last_words(self) -> list[Message]:
        """Return what a dead worker has said that was not received yet."""

    def executing(self) -> dict[int, float]:
        """Return the items that it executes, or executed when it died: item -> since when, by our monotonic clock.

        Raises:
            OSError: that cannot be told at the moment.
        """

    def usage(self) -> Usage | None:
        """Return what it takes, None if that is not known."""

    def dump_stack(self) -> None:
        """Ask it to write every thread's stack to its log."""

    def kill(self) -> None:
        """SIGKILL it and its process group, without waiting for its end."""

    def join(self, seconds: float) -> bool:
        """Wait for its end; tell whether it has come."""

    def exitcode(self) -> int | None:
        """Return how it ended, None while it has not."""

    def how_it_ended(self) -> str:
        """Say how it ended, to follow its name in a sentence: what is known of it, and no more."""

    def close(self) -> None:
        """Free what the handle holds; the process has ended."""


class Engine(Protocol):
    """Starts workers, and knows them all until they are closed."""

    def start(self, order: WorkerOrder, board: Path | None = None) -> WorkerProcess:
        """Start one; returns before it is ready.

        Args:
            board: where it will note what it executes, once it is told to begin.
        """

    def wait(self, seconds: float) -> list[WorkerProcess]:
        """Wait until something has happened to a worker; return those that spoke, or ended, each once.

        A worker that has ended is returned until it is closed; whoever has nothing new costs nothing.

        Args:
            seconds: how long, at most; then nobody is returned.
        """

    def end_leftovers(self, worker_id: int | None = None) -> list[str]:
        """End what a dead worker's target (or, at the end of a run, any) has left running; return their names."""

    def end_earlier(self, processes: Iterable[tuple[int, float]]) -> int:
        """End workers that a dead supervisor has left; return when they are known dead, with their number.

        Args:
            processes: their pid and birth.

        Raises:
            RunFolderError: one does not die; it may still write.
        """

    def warm_up(self) -> None:
        """Begin, without waiting, what makes the first start quick."""

    def cool_down(self) -> None:
        """End at once what `warm_up` began; no worker is left, and nobody in this process wants another."""

    def close(self) -> None:
        """Free what the engine holds; every worker is closed."""
