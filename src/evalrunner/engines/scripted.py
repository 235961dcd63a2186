"""Workers that are scripts in this very process: no process, no thread, no pipe, no sleep; time is a clock's.

For tests and simulations of what the supervisor does. What a worker says, and that it has ended, is put on an agenda
with the moment at which it can be noticed here; `wait` moves the clock from one such moment to the next. So what
happens, happens in the same order every time.
"""

from __future__ import annotations

import heapq
import itertools
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from evalrunner.clock import ManualClock
from evalrunner.engines.base import Usage, WorkerProcess
from evalrunner.protocol.messages import Message, decode, encode
from evalrunner.protocol.worker import WorkerOrder, exit_reason

#: What no process of this machine is called.
FIRST_PID = 2**30


class Script(Protocol):
    """What one worker does, by what it makes of these moments."""

    def born(self, worker: ScriptedWorker) -> None:
        """It was started."""

    def told(self, worker: ScriptedWorker, order: Message) -> None:
        """An order reaches it."""


class Agenda:
    """What is going to happen, in order.

    Args:
        clock: is moved to the moment of whatever happens.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def add(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something happen in a while, after what was put there before for the same moment."""
        heapq.heappush(self._entries, (self.clock.monotonic() + seconds, next(self._numbers), action))

    def run(self, seconds: float, until: Callable[[], object]) -> None:
        """Let things happen, for so long at most, until something is the case."""
        end = self.clock.monotonic() + seconds
        while not until():
            if not self.step(end):
                self.clock.advance(max(0.0, end - self.clock.monotonic()))
                return

    def step(self, end: float) -> bool:
        """Let the next thing happen; False if there is none before `end`."""
        if not self._entries or self._entries[0][0] > end:
            return False
        due, _, action = heapq.heappop(self._entries)
        self.clock.advance(max(0.0, due - self.clock.monotonic()))
        action()
        return True


class ScriptedWorker:
    """One worker: for the supervisor a `WorkerProcess`, for its script what it can do.

    Attributes:
        board: the items that it executes -> since when; for its script to write.
        rss, stopped: what is seen of it from outside; likewise.
        left: names of processes that it leaves running; likewise.
        dumped: how often it was asked for its stacks.
    """

    def __init__(self, engine: ScriptedEngine, order: WorkerOrder, script: Script) -> None:
        self._engine = engine
        self.script = script
        self.order = order
        self.worker_id, self.slot = order.worker_id, order.slot
        self.pid = FIRST_PID + order.worker_id
        self.born = engine.clock.utcnow().timestamp()
        self.board: dict[int, float] = {}
        self.rss, self.stopped, self.dumped = 1, False, 0
        self.left: list[str] = []
        self.broken = ""
        self._inbox: list[Message] = []
        self._on_its_way: list[Message] = []
        self._alive = True
        self._exitcode: int | None = None

    # -- what its script can do ----------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The clock, for `board`."""
        return self._engine.clock.monotonic()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in a while, if it still lives then."""
        self._engine.agenda.add(seconds, lambda: action() if self._alive else None)

    def say(self, message: Message) -> None:
        """Say something; it is heard even if it is the last word."""
        self._on_its_way.append(decode(encode(message)))
        self._engine.agenda.add(self._engine.latency, self._arrive)

    def babble(self, why: str) -> None:
        """Say something that is no message: nothing that it says is understood from then on."""
        self._engine.agenda.add(self._engine.latency, lambda: self._break(why))

    def die(self, exitcode: int) -> None:
        """End. It is noticed after what it has said before."""
        if self._alive:
            self._alive = False
            self._engine.agenda.add(self._engine.latency, lambda: self._end(exitcode))

    def _arrive(self) -> None:
        if self._on_its_way:  # else it was taken for its last words
            message = self._on_its_way.pop(0)
            if not self.broken:
                self._inbox.append(message)
                self._engine.ring(self)

    def _break(self, why: str) -> None:
        self.broken = why
        self._engine.ring(self)

    def _end(self, exitcode: int) -> None:
        self._exitcode = exitcode
        self._engine.ring(self)

    # -- what the supervisor can do ------------------------------------------------------------------

    def send(self, message: Message) -> None:
        order = decode(encode(message))
        self.later(self._engine.latency, lambda: self.script.told(self, order))

    def receive(self) -> list[Message]:
        heard, self._inbox = self._inbox, []
        if self._exitcode is None:
            self._engine.hush(self)
        return heard

    def last_words(self) -> list[Message]:
        words, self._on_its_way = self._on_its_way, []
        return self.receive() + ([] if self.broken else words)

    def executing(self) -> dict[int, float]:
        return dict(self.board)

    def usage(self) -> Usage | None:
        return Usage(self.rss, self.stopped) if self._alive else None

    def dump_stack(self) -> None:
        self.dumped += 1

    def kill(self) -> None:
        self.die(-signal.SIGKILL)

    def join(self, seconds: float) -> bool:
        self._engine.agenda.run(seconds, lambda: self._exitcode is not None)
        return self._exitcode is not None

    def exitcode(self) -> int | None:
        return self._exitcode

    def how_it_ended(self) -> str:
        return exit_reason(self._exitcode)

    def close(self) -> None:
        self._engine.hush(self)


class ScriptedEngine:
    """Starts scripts.

    Args:
        script: returns what the worker of an order is to do.
        latency: seconds from what happens on one side to where it is noticed on the other.

    Attributes:
        workers: every worker that was started, by its id, in order.
        earlier: (pid, birth) of workers that a dead supervisor has left.
    """

    def __init__(
        self, script: Callable[[WorkerOrder], Script], clock: ManualClock, latency: float = 0.0
    ) -> None:
        self._script = script
        self.clock = clock
        self.latency = latency
        self.agenda = Agenda(clock)
        self.workers: dict[int, ScriptedWorker] = {}
        self.earlier: set[tuple[int, float]] = set()
        self._rung: dict[int, ScriptedWorker] = {}

    def start(self, order: WorkerOrder, board: Path | None = None) -> ScriptedWorker:
        worker = ScriptedWorker(self, order, script := self._script(order))
        self.workers[order.worker_id] = worker
        worker.later(0.0, lambda: script.born(worker))
        return worker

    def wait(self, seconds: float) -> list[WorkerProcess]:
        if self._rung:  # and was not heeded: time goes on all the same
            self.agenda.step(self.clock.monotonic() + seconds)
        self.agenda.run(seconds, lambda: self._rung)
        return list(self._rung.values())

    def ring(self, worker: ScriptedWorker) -> None:
        """Something has happened to this one."""
        self._rung[worker.worker_id] = worker

    def hush(self, worker: ScriptedWorker) -> None:
        """It has been heeded."""
        self._rung.pop(worker.worker_id, None)

    def end_leftovers(self, worker_id: int | None = None) -> list[str]:
        whose = list(self.workers.values()) if worker_id is None else [self.workers[worker_id]]
        ended = [name for worker in whose for name in worker.left]
        for worker in whose:
            worker.left = []
        return ended

    def end_earlier(self, processes: Iterable[tuple[int, float]]) -> int:
        ended = self.earlier.intersection(processes)
        self.earlier -= ended
        return len(ended)

    def warm_up(self) -> None:
        """Nothing is slow."""

    def cool_down(self) -> None:
        """Nothing was begun."""

    def close(self) -> None:
        """Nothing is held."""
