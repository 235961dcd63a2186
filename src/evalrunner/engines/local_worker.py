"""A worker process on this machine: our end of its pipe, and what the kernel knows of it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from multiprocess.connection import wait

from evalrunner.delivery import inflight
from evalrunner.engines.base import Usage
from evalrunner.engines.facts import ProcessFacts, watch_death
from evalrunner.engines.memory_kills import MemoryKills
from evalrunner.engines.pipe import WorkerPipe
from evalrunner.engines.waiting import Waiter
from evalrunner.protocol.messages import Message
from evalrunner.protocol.worker import WorkerOrder, exit_reason

#: Seconds for which a dead worker's last words are awaited: they are in the pipe already, and the end behind them,
#: unless something that its target has forked holds the other end.
LAST_WORDS = 1.0
#: Seconds after which a worker that is waited for is looked at, where nothing rings at its end.
LOOK = 0.05


class LocalWorker:
    """A child of this process, or of its forkserver."""

    def __init__(
        self,
        process: Any,
        pipe: WorkerPipe,
        order: WorkerOrder,
        board: Path | None,
        kills: MemoryKills,
        waiter: Waiter[LocalWorker],
        *,
        own_child: bool,
    ) -> None:
        self._process = process
        self._pipe = pipe
        self._board = board
        self._kills = kills
        self._waiter = waiter
        self._facts = ProcessFacts(process.pid)
        # A spawned worker's own sentinel is a pipe that its forks hold too: it would ring when the last of them ends.
        self._death = watch_death(process.pid) if own_child else None
        self.rings_at_its_end = not own_child or self._death is not None
        self.worker_id = order.worker_id
        self.slot = order.slot
        waiter.add(self)

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    @property
    def born(self) -> float:
        return self._facts.born

    @property
    def sentinel(self) -> int:
        return int(self._process.sentinel) if self._death is None else self._death

    @property
    def channel(self) -> int:
        return self._pipe.channel

    @property
    def broken(self) -> str:
        return self._pipe.broken

    @property
    def ended(self) -> bool:
        """Whether the end of its pipe was reached: nothing more will come."""
        return self._pipe.ended

    def send(self, message: Message) -> None:
        self._pipe.send(message)

    def receive(self) -> list[Message]:
        return self._pipe.receive()

    def last_words(self) -> list[Message]:
        heard = self._pipe.receive()
        self._pipe.finish(LAST_WORDS)
        return heard + self._pipe.receive()

    def executing(self) -> dict[int, float]:
        return inflight.read(self._board) if self._board is not None else {}

    def usage(self) -> Usage | None:
        return self._facts.usage()

    def dump_stack(self) -> None:
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGUSR2)

    def kill(self) -> None:
        # The group first: what the target has started must not outlive it. The worker made the group
        # itself, so for a moment after the start there is none.
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._process.is_alive():
            self._process.kill()

    def join(self, seconds: float) -> bool:
        # Not multiprocess's own `join`, whose sentinel a spawned worker's forks hold too, for as long as they live.
        end = time.monotonic() + seconds
        while self.exitcode() is None and (left := end - time.monotonic()) > 0:
            if wait([self.sentinel], timeout=min(left, LOOK)):
                time.sleep(0.001)  # it rings a moment before the kernel lets us wait for it
        return self.exitcode() is not None

    def exitcode(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def how_it_ended(self) -> str:
        code = self.exitcode()
        if code == -signal.SIGKILL and (evidence := self._kills.evidence(self.pid)):
            return f"{exit_reason(code)} ({evidence})"
        return exit_reason(code)

    def close(self) -> None:
        self._waiter.remove(self)
        if self._death is not None:
            os.close(self._death)
            self._death = None
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self._pipe.close()
        with contextlib.suppress(ValueError):
            self._process.close()
