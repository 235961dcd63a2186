"""The workers of a run: starting them, hearing them, and knowing for certain that one is dead.

What happens to one worker costs nothing for the others, however many there are; only `executing` and `measure` look
at all of them, now and then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalrunner.clock import SYSTEM, Clock
from evalrunner.engines.base import Engine, WorkerProcess
from evalrunner.protocol.messages import Message
from evalrunner.protocol.orders import Stop
from evalrunner.protocol.reports import Ack, Report
from evalrunner.protocol.rows import WorkerRow
from evalrunner.protocol.worker import WorkerOrder

#: Seconds that a worker gets to write its stacks before it is killed for being stuck.
STACK_SECONDS = 0.5
#: Seconds for which the deaths of all workers are awaited when a run ends.
DEATH_SECONDS = 10.0
#: How often in a row (once a second) a worker must be seen stopped before it is given up.
STOPPED_LOOKS = 10


@dataclass
class WorkerHandle:
    """One living worker."""

    process: WorkerProcess
    spool: Path
    board: Path
    ack: Ack | None = None
    heard: tuple[int, ...] = (0, 0, 0, 0)
    killed_for: str | None = None
    rss: int = 0
    seen_stopped: int = 0

    def hear(self, report: Report) -> None:
        """Count what the worker has said to each book."""
        news: tuple[list[Any], ...] = (report.produced, report.accepted, report.refused, report.loose)
        self.heard = tuple(before + len(more) for before, more in zip(self.heard, news, strict=True))

    @property
    def left_in_order(self) -> bool:
        """Whether it has acknowledged, and all that it acknowledges has been heard."""
        return self.ack is not None and self.ack.books == self.heard


class WorkerPool:
    """All workers of a run, by worker number. Nothing here waits for a worker, but for `wait` and `kill_all`."""

    def __init__(self, engine: Engine, clock: Clock = SYSTEM) -> None:
        self._engine = engine
        self._clock = clock
        self._rung: list[int] = []
        self._doomed: dict[int, float] = {}
        self.handles: dict[int, WorkerHandle] = {}

    def start(self, order: WorkerOrder, spool: Path, board: Path) -> tuple[int, float]:
        """Start a worker; return (pid, create_time), which name the process for ever."""
        process = self._engine.start(order, board)
        self.handles[order.worker_id] = WorkerHandle(process, spool, board)
        return process.pid, process.born

    def wait(self, seconds: float) -> None:
        """Wait until a worker speaks or ends, for so long at most; `hear` and `dead` tell of those that did."""
        self._rung = [process.worker_id for process in self._engine.wait(seconds)]

    def _those_that_rang(self) -> Iterator[tuple[int, WorkerHandle]]:
        for number in self._rung:
            if handle := self.handles.get(number):
                yield number, handle

    def hear(self) -> Iterator[tuple[int, Message]]:
        """Return every message that is there; one who cannot be understood any more is killed for it."""
        for number, handle in self._those_that_rang():
            for message in handle.process.receive():
                yield number, message
            if handle.process.broken and handle.killed_for is None:
                self.kill(number, f"was killed: {handle.process.broken}")

    def dead(self) -> list[int]:
        """Return the workers whose process has ended."""
        return [number for number, handle in self._those_that_rang() if handle.process.exitcode() is not None]

    def executing(self) -> Iterator[tuple[int, dict[int, float]]]:
        """Return what every worker executes: item -> when it began."""
        for number, handle in self.handles.items():
            with contextlib.suppress(OSError):  # no descriptor is left at this moment: the next look will do
                yield number, handle.process.executing()

    def send(self, number: int, message: Message) -> None:
        """Give an order."""
        if number in self.handles:
            self.handles[number].process.send(message)

    def kill(self, number: int, why: str, *, stack: bool = False) -> None:
        """Kill a worker; its end is noticed like any other.

        Args:
            stack: ask for its stacks first, and kill it when it has had the time to write them (`kill_due`).
        """
        handle = self.handles.get(number)
        if handle is None:
            return
        handle.killed_for = handle.killed_for or why
        if stack:
            handle.process.dump_stack()
            self._doomed[number] = self._clock.monotonic() + STACK_SECONDS
        else:
            handle.process.kill()

    def kill_due(self) -> None:
        """Kill those that have had the time to write their stacks."""
        now = self._clock.monotonic()
        for number in [number for number, due in self._doomed.items() if now >= due]:
            del self._doomed[number]
            if handle := self.handles.get(number):
                handle.process.kill()

    def stop_all(self) -> None:
        """Tell every worker to end what it has begun, and to begin nothing more."""
        for handle in self.handles.values():
            handle.process.send(Stop())

    def retire(self, numbers: Iterable[int], seconds: float) -> None:
        """Give these, which were told to stop, so many seconds to be taken down; kill all others."""
        spared = {number: self.handles[number] for number in numbers if number in self.handles}
        for number in self.handles.keys() - spared.keys():
            self.kill(number, "was not needed any more")
        end = self._clock.monotonic() + seconds
        for handle in spared.values():
            handle.process.join(max(0.0, end - self._clock.monotonic()))

    def kill_all(self, why: str) -> None:
        """Kill every worker; return when they are known dead, or after a few seconds in any case."""
        for number in list(self.handles):
            self.kill(number, why)
        end = self._clock.monotonic() + DEATH_SECONDS
        for handle in self.handles.values():
            handle.process.join(max(0.0, end - self._clock.monotonic()))

    def how_it_ended(self, number: int) -> str:
        """Say how a worker ended: why it was killed, or what is known of it."""
        handle = self.handles[number]
        return handle.process.how_it_ended() if handle.killed_for is None else handle.killed_for

    def reap(self, number: int) -> WorkerHandle:
        """Let go of a dead worker."""
        handle = self.handles.pop(number)
        self._doomed.pop(number, None)
        handle.process.close()
        return handle

    def close(self) -> None:
        """Let go of whoever is left, and of the threads that listened to him; all are dead, or will not die."""
        for number in list(self.handles):
            self.reap(number)

    def end_leftovers(self, number: int | None = None) -> list[str]:
        """End what a dead worker's target (or, at the end of a run, any) has left running; return their names."""
        return self._engine.end_leftovers(number)

    def end_earlier(self, rows: Iterable[WorkerRow]) -> int:
        """End workers of an earlier, dead supervisor; return when they are known dead, with their number.

        Raises:
            RunFolderError: one does not die.
        """
        return self._engine.end_earlier((row.pid, row.create_time) for row in rows if row.ended is None)

    def measure(self) -> list[int]:
        """Read every worker's memory; return those that have been stopped (SIGSTOP) for a while.

        A batch system may stop and continue a whole job; then this process sees little of the pause.
        """
        stopped = []
        for number, handle in self.handles.items():
            usage = handle.process.usage()
            if usage is None:
                continue
            handle.rss = usage.rss
            handle.seen_stopped = handle.seen_stopped + 1 if usage.stopped else 0
            if handle.seen_stopped > STOPPED_LOOKS:
                stopped.append(number)
        return stopped
