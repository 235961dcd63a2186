"""The worker processes of a run: starting them, hearing them, and knowing for certain that one is dead."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from evalrunner.delivery import board
from evalrunner.delivery.outlet import produced_item
from evalrunner.delivery.spool import read, segments_of
from evalrunner.engines.base import Engine, WorkerProcess
from evalrunner.errors import RunFolderError, SpoolError
from evalrunner.ledger.ledger import WorkerRow
from evalrunner.protocol.messages import Ack, Message, ProducedItem, Report
from evalrunner.protocol.worker import WorkerOrder, exit_reason

#: Seconds that a worker gets to write its stacks before it is killed for being stuck.
STACK_SECONDS = 0.5
#: How often in a row (once a second) a worker must be seen stopped before it is given up.
STOPPED_LOOKS = 10


@dataclass
class Member:
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

    def hear(self, report: Report) -> None:
        """Count what the worker has said to each book."""
        news: tuple[list[Any], ...] = (report.produced, report.accepted, report.refused, report.loose)
        self.heard = tuple(before + len(more) for before, more in zip(self.heard, news, strict=True))

    @property
    def left_in_order(self) -> bool:
        """Whether it has acknowledged, and all that it acknowledges has been heard."""
        return self.ack is not None and self.ack.books == self.heard


class Crew:
    """All workers of a run, by worker number."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.members: dict[int, Member] = {}

    def start(self, order: WorkerOrder, spool: Path, board_path: Path) -> tuple[int, float]:
        """Start a worker; return (pid, create_time), which name the process for ever."""
        process = self._engine.start(order)
        try:
            facts: psutil.Process | None = psutil.Process(process.pid)
            born = facts.create_time() if facts else 0.0
        except psutil.Error:
            facts, born = None, 0.0  # it is dead already; its sentinel will say so
        self.members[order.worker_id] = Member(process, facts, spool, board_path)
        return process.pid, born

    def waitables(self) -> Iterator[object]:
        """Return what becomes ready when a worker speaks or dies."""
        for member in self.members.values():
            if not getattr(member.process, "ended", False):
                yield member.process.channel
            yield member.process.sentinel

    def hear(self) -> Iterator[tuple[int, Message]]:
        """Return every message that is there."""
        for number, member in list(self.members.items()):
            for message in member.process.receive():
                yield number, message

    def dead(self) -> list[int]:
        """Return the workers whose process has ended."""
        return [number for number, member in self.members.items() if member.process.exitcode() is not None]

    def send(self, number: int, message: Message) -> None:
        """Give an order."""
        if number in self.members:
            self.members[number].process.send(message)

    def kill(self, number: int, why: str, *, stack: bool = False) -> None:
        """Kill a worker; its end is noticed like any other."""
        member = self.members.get(number)
        if member is None:
            return
        member.killed_for = why
        if stack:
            member.process.dump_stack()
            time.sleep(STACK_SECONDS)
        member.process.kill()

    def kill_all(self, why: str) -> None:
        """Kill every worker."""
        for number in list(self.members):
            self.kill(number, why)

    def bury(self, number: int) -> Member:
        """Let go of a dead worker."""
        member = self.members.pop(number)
        member.process.close()
        return member

    def measure(self) -> list[int]:
        """Read every worker's memory; return those that have been stopped (SIGSTOP) for a while.

        A batch system may stop and continue a whole job; then this process sees little of the pause.
        """
        stopped = []
        for number, member in self.members.items():
            if member.facts is None:
                continue
            with contextlib.suppress(psutil.Error):
                member.rss = member.facts.memory_info().rss
                is_stopped = member.facts.status() == psutil.STATUS_STOPPED
                member.seen_stopped = member.seen_stopped + 1 if is_stopped else 0
                if member.seen_stopped > STOPPED_LOOKS:
                    stopped.append(number)
        return stopped


def how_it_ended(member: Member) -> str:
    """Say how a worker ended."""
    return member.killed_for or exit_reason(member.process.exitcode())


def read_remains(spool: Path, board_path: Path) -> tuple[list[ProducedItem], frozenset[int]]:
    """Return what a dead worker had produced, and what it was executing."""
    suspects = frozenset(board.read(board_path))
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
