"""Worker processes on this machine, with `multiprocess`.

forkserver with the SDK preloaded (a start costs 0.03 s instead of 0.4), or spawn; never fork: a process that
has a LangSmith client or threads and is forked loses its runs silently, all of them (CONTRIBUTING, measured fact 1).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import multiprocess
from multiprocess import forkserver, util
from multiprocess.connection import Connection

from evalrunner.engines import facts
from evalrunner.engines.base import WorkerProcess
from evalrunner.engines.child import become_worker
from evalrunner.engines.inherited import Inherited
from evalrunner.engines.leftovers import MARK, Leftovers
from evalrunner.engines.local_worker import LocalWorker
from evalrunner.engines.memory_kills import MemoryKills
from evalrunner.engines.pipe import WorkerPipe, pair
from evalrunner.engines.room import room_for_sockets
from evalrunner.engines.waiting import Waiter
from evalrunner.interpreter import away_from_here
from evalrunner.protocol.worker import WorkerOrder

#: Imported once by the forkserver; none of them starts a thread.
PRELOAD = [
    "evalrunner.engines.shield",
    "langsmith",
    "langsmith.client",
    "langsmith.evaluation._arunner",
    "evalrunner.worker.main",
    # The SDK imports it at the first item if it is installed; skipped if it is not. (Their package alone is a shell:
    # it imports this when `Runnable` is asked for.)
    "langchain_core.runnables.base",
    "evalrunner.engines.settled",
]


_DEAF = (
    "import signal; "
    "[signal.signal(getattr(signal, s), signal.SIG_IGN) for s in ('SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGXCPU')]; "
)


@contextlib.contextmanager
def _away_from_here() -> Iterator[None]:
    """Have `multiprocess` start its interpreters (tracker, forkserver, spawned workers) `away_from_here`, and deaf.

    All of them pass `util.spawnv_passfds`, with their code behind `-c`. They are in our process group, and what a
    terminal or a batch system sends to all of it is for us to answer: a forkserver that dies of it takes all workers
    along. A worker gets handlers of its own (worker/prelude.py).
    """
    plain = util.spawnv_passfds

    def away(path: Any, args: list[Any], fds: Any) -> int:
        at = args.index("-c") + 1
        code = away_from_here(_DEAF + args[at])
        return int(plain(path, [*args[:at], code, *args[at + 1 :]], fds))

    util.spawnv_passfds = away
    try:
        yield
    finally:
        util.spawnv_passfds = plain


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Hide `__main__`, so that a child does not run the user's script again to get at its names.

    Functions of `__main__` are carried by value (`pickling`), so nothing is missed.
    """
    real = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = real


class LocalEngine:
    """Starts workers as child processes.

    Args:
        start_method: `forkserver` or `spawn`.
    """

    def __init__(self, start_method: str = "forkserver") -> None:
        # Where no socket can be made there is no forkserver either.
        self.method = start_method if start_method == "spawn" or room_for_sockets() else "spawn"
        self._context = multiprocess.get_context(self.method)
        self._leftovers = Leftovers(lambda: forkserver._forkserver._forkserver_pid)
        self._kills = MemoryKills()
        self._waiter: Waiter[LocalWorker] = Waiter()
        self._mark = f"evalrunner-{secrets.token_hex(8)}."
        if self.method == "forkserver":
            self._context.set_forkserver_preload(PRELOAD)

    def start(self, order: WorkerOrder, board: Path | None = None) -> LocalWorker:
        order = replace(order, env={**order.env, MARK: self._mark_of(order.worker_id)})
        ours, fd = pair()
        theirs = Connection(fd)
        process = self._context.Process(
            target=become_worker,
            args=("evalrunner.worker.main", theirs, order, Inherited.from_here()),
            name=f"evalrunner-{order.worker_id}",
        )
        own_child = self.method == "spawn"
        try:
            with _without_main(), _away_from_here():
                process.start()
            pipe = WorkerPipe(ours, str(order.worker_id))
            return LocalWorker(process, pipe, order, board, self._kills, self._waiter, own_child=own_child)
        except BaseException:
            # A Ctrl-C, maybe. multiprocess waits at our end for every child that it has started (`_exit_function`).
            if process.pid is not None:
                process.kill()
            ours.close()
            raise
        finally:
            theirs.close()

    def _mark_of(self, worker_id: int) -> str:
        return f"{self._mark}{worker_id}."

    def wait(self, seconds: float) -> list[WorkerProcess]:
        return list(self._waiter.wait(seconds))

    def end_leftovers(self, worker_id: int | None = None) -> list[str]:
        spare = {worker.pid for worker in self._waiter.workers}
        if worker_id is not None:
            return self._leftovers.end_marked(self._mark_of(worker_id), spare)
        # Another run in this process may have workers under the same forkserver.
        others = {child.pid for child in multiprocess.active_children()}
        return self._leftovers.end_marked(self._mark, spare) + self._leftovers.end_orphans(others)

    def end_earlier(self, processes: Iterable[tuple[int, float]]) -> int:
        return facts.end_earlier(processes)

    def warm_up(self) -> None:
        """Start the forkserver before the first worker is wanted; it imports while we read the order."""
        if self.method != "forkserver":
            return
        with _without_main(), _away_from_here():
            forkserver.ensure_running()

    def cool_down(self) -> None:
        """End the forkserver at once.

        It ends with this process in any case, but not before it has imported everything, and so long whoever waits
        for the end of our output would wait.
        """
        pid = forkserver._forkserver._forkserver_pid
        if pid is not None:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of what it waits with; the forkserver ends when this process does.

        A worker that is left was started for somebody who was interrupted before he had it.
        """
        for worker in self._waiter.workers:
            worker.kill()
        self._waiter.close()
