"""How worker processes come to exist: what every engine offers the supervisor."""

from __future__ import annotations

from typing import Any, Protocol

from evalrunner.protocol.messages import Message
from evalrunner.protocol.worker import WorkerOrder


class WorkerProcess(Protocol):
    """One started worker, as seen from outside."""

    worker_id: int
    slot: int

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def sentinel(self) -> Any:
        """Becomes ready, for `multiprocess.connection.wait`, when the process has ended."""

    @property
    def channel(self) -> Any:
        """Becomes ready, likewise, when there is a message (or the end of the pipe)."""

    def send(self, message: Message) -> None:
        """Give an order; a worker that is gone loses it without an error."""

    @property
    def broken(self) -> str:
        """Why nothing that it says can be understood any more, or "": it must end then."""

    @property
    def ended(self) -> bool:
        """Whether the end of its pipe was reached: `channel` is not to be waited for any more."""

    def receive(self) -> list[Message]:
        """Return the messages that are there, without waiting; an ended pipe gives none."""

    def last_words(self) -> list[Message]:
        """Return what a dead worker has said that was not received yet."""

    def dump_stack(self) -> None:
        """Ask it to write every thread's stack to its log."""

    def kill(self) -> None:
        """SIGKILL it and its process group, without waiting for its end."""

    def join(self, seconds: float) -> bool:
        """Wait for its end; tell whether it has come."""

    def exitcode(self) -> int | None:
        """Return how it ended, None while it has not."""

    def close(self) -> None:
        """Free what the handle holds; the process has ended."""


class Engine(Protocol):
    """Starts workers."""

    def start(self, order: WorkerOrder) -> WorkerProcess:
        """Start one; returns before it is ready."""

    def end_marked(self, mark: str, spare: set[int]) -> list[str]:
        """End what a dead worker's target has left running, known by the worker's mark; return their names."""

    def end_orphans(self) -> list[str]:
        """End whatever else the targets of dead workers have left running; return their names."""

    def close(self) -> None:
        """End what the engine itself keeps running."""
