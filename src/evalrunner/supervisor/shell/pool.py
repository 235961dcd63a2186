"""The worker processes of a run: starting them, hearing them, and knowing for certain that one is dead."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from evalrunner.clock import SYSTEM, Clock
from evalrunner.delivery import inflight
from evalrunner.delivery.pipeline import produced_item
from evalrunner.delivery.spool.writer import read, segments_of
from evalrunner.engines.base import Engine, WorkerProcess
from evalrunner.engines.leftovers import MARK
from evalrunner.engines.memory_kills import MemoryKills
from evalrunner.errors import RunFolderError, SpoolError
from evalrunner.protocol.messages import Ack, Message, ProducedItem, Report
from evalrunner.protocol.rows import WorkerRow
from evalrunner.protocol.worker import WorkerOrder, exit_reason

#: Seconds that a worker gets to write its stacks before it is killed for being stuck.
STACK_SECONDS = 0.5
#: Seconds for which the deaths of all workers are awaited when a run ends.
DEATH_SECONDS = 10.0
#: So often a sentinel may ring before its worker's end is seen (it does for a moment) and is still believed.
FALSE_ALARMS = 100
#: How often in a row (once a second) a worker must be seen stopped before it is given up.
STOPPED_LOOKS = 10


@dataclass
class WorkerHandle:
    """One living worker."""

    process: WorkerProcess
    facts: psutil.Process | None
    spool: Path
    board: Path
    ack: Ack | None = None
    heard: tuple[int, ...] = (0, 0, 0, 0)
    killed_for: str | None = None
    rss: int = 0
    seen_stopped: int = 0
    doomed_at: float | None = None
    false_alarms: int = 0

    def hear(self, report: Report) -> None:
        """Count what the worker has said to each book."""
        news: tuple[list[Any], ...] = (report.produced, report.accepted, report.refused, report.loose)
        self.heard = tuple(before + len(more) for before, more in zip(self.heard, news, strict=True))

    @property
    def left_in_order(self) -> bool:
        """Whether it has acknowledged, and all that it acknowledges has been heard."""
        return self.ack is not None and self.ack.books == self.heard


class WorkerPool:
    """All workers of a run, by worker number. Nothing here waits for a worker, but for `kill_all`."""

    def __init__(self, engine: Engine, clock: Clock = SYSTEM) -> None:
        self._engine = engine
        self._clock = clock
        self._memory_kills = MemoryKills()
        self._mark = f"evalrunner-{secrets.token_hex(8)}."
        self.handles: dict[int, WorkerHandle] = {}

    def start(self, order: WorkerOrder, spool: Path, board_path: Path) -> tuple[int, float]:
        """Start a worker; return (pid, create_time), which name the process for ever."""
        mark = f"{self._mark}{order.worker_id}."
        process = self._engine.start(replace(order, env={**order.env, MARK: mark}))
        try:
            facts: psutil.Process | None = psutil.Process(process.pid)
            born = facts.create_time() if facts else 0.0
        except psutil.Error:
            facts, born = None, 0.0  # it is dead already; its sentinel will say so
        self.handles[order.worker_id] = WorkerHandle(process, facts, spool, board_path)
        return process.pid, born

    def waitables(self) -> Iterator[object]:
        """Return what becomes ready when a worker speaks or dies."""
        for handle in self.handles.values():
            if not handle.process.ended:
                yield handle.process.channel
            if handle.false_alarms < FALSE_ALARMS:
                yield handle.process.sentinel

    def heed(self, ready: Iterable[object]) -> None:
        """Take note of sentinels that say that a worker has ended which has not.

        With `spawn` it is a pipe of which the worker has the other end, and its target may write into that: to
        wait for it would be to wait for nothing, in a circle. Such a worker's end is seen a moment later.
        """
        rung = set(ready)
        for handle in self.handles.values():
            if handle.process.sentinel in rung:
                handle.false_alarms += handle.process.exitcode() is None

    def hear(self) -> Iterator[tuple[int, Message]]:
        """Return every message that is there; one who cannot be understood any more is killed for it."""
        for number, handle in list(self.handles.items()):
            for message in handle.process.receive():
                yield number, message
            if handle.process.broken and handle.killed_for is None:
                self.kill(number, f"was killed: {handle.process.broken}")

    def executing(self) -> Iterator[tuple[int, dict[int, float]]]:
        """Return what every worker's board says: item -> when it began."""
        for number, handle in self.handles.items():
            with contextlib.suppress(OSError):  # no descriptor is left at this moment: the next look will do
                yield number, inflight.read(handle.board)

    def dead(self) -> list[int]:
        """Return the workers whose process has ended."""
        return [number for number, handle in self.handles.items() if handle.process.exitcode() is not None]

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
            handle.doomed_at = self._clock.monotonic() + STACK_SECONDS
        else:
            handle.process.kill()

    def kill_due(self) -> None:
        """Kill those that have had the time to write their stacks."""
        now = self._clock.monotonic()
        for handle in self.handles.values():
            if handle.doomed_at is not None and now >= handle.doomed_at:
                handle.doomed_at = None
                handle.process.kill()

    def kill_all(self, why: str) -> None:
        """Kill every worker; return when they are known dead, or after a few seconds in any case."""
        for number in list(self.handles):
            self.kill(number, why)
        end = self._clock.monotonic() + DEATH_SECONDS
        for handle in self.handles.values():
            handle.process.join(max(0.0, end - self._clock.monotonic()))

    def how_it_ended(self, number: int) -> str:
        """Say how a worker ended: what is known of it, and no more."""
        handle = self.handles[number]
        code = handle.process.exitcode()
        if handle.killed_for is not None:
            return handle.killed_for
        if code == -signal.SIGKILL and (evidence := self._memory_kills.evidence(handle.process.pid)):
            return f"{exit_reason(code)} ({evidence})"
        return exit_reason(code)

    def reap(self, number: int) -> WorkerHandle:
        """Let go of a dead worker."""
        handle = self.handles.pop(number)
        handle.process.close()
        return handle

    def end_leftovers(self, number: int | None = None) -> list[str]:
        """End what a dead worker's target (or, at the end of a run, any) has left running; return their names."""
        spare = {handle.process.pid for handle in self.handles.values()}
        if number is not None:
            return self._engine.end_marked(f"{self._mark}{number}.", spare)
        return self._engine.end_marked(self._mark, spare) + self._engine.end_orphans()

    def measure(self) -> list[int]:
        """Read every worker's memory; return those that have been stopped (SIGSTOP) for a while.

        A batch system may stop and continue a whole job; then this process sees little of the pause.
        """
        stopped = []
        for number, handle in self.handles.items():
            if handle.facts is None:
                continue
            with contextlib.suppress(psutil.Error):
                handle.rss = handle.facts.memory_info().rss
                is_stopped = handle.facts.status() == psutil.STATUS_STOPPED
                handle.seen_stopped = handle.seen_stopped + 1 if is_stopped else 0
                if handle.seen_stopped > STOPPED_LOOKS:
                    stopped.append(number)
        return stopped


def read_remains(spool: Path, board_path: Path) -> tuple[list[ProducedItem], frozenset[int]]:
    """Return what a dead worker had produced, and what it was executing."""
    suspects = frozenset(inflight.read(board_path))
    made: list[ProducedItem | None] = []
    for segment in segments_of(spool):
        try:
            made += [produced_item(entry) for entry in read(synced(segment)).entries]
        except (SpoolError, OSError):
            # It died before it had a spool (or its head is damaged): it has produced nothing that counts.
            continue
    return [item for item in made if item is not None], suspects


def synced(spool: Path) -> Path:
    """Make a dead worker's spool durable, then return its path.

    What it wrote and did not live to sync is in the page cache: readable now, gone after a power cut; and
    nothing is believed before it is durable.
    """
    fd = os.open(spool, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)
    return spool


def kill_leftovers(rows: list[WorkerRow]) -> int:
    """Kill workers of an earlier, dead supervisor; return when they are known dead, with their number.

    A pid alone may be somebody else's by now; with its creation time it is not.
    """
    killed = []
    for row in rows:
        if row.ended is not None:
            continue
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(row.pid)
            if abs(process.create_time() - row.create_time) < 0.05:
                process.kill()
                killed.append(process)
    _, alive = psutil.wait_procs(killed, timeout=10)
    if alive:
        raise RunFolderError(
            f"worker {alive[0].pid} of an earlier run does not die (stuck in the kernel?); "
            "end it before this experiment goes on: it may still write"
        )
    return len(killed)
