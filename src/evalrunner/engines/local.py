"""Worker processes on this machine, with `multiprocess`.

forkserver with the SDK preloaded (a start costs 0.03 s instead of 0.4), or spawn; never fork: a process that
has a LangSmith client or threads and is forked loses its runs silently (sdk-loss, measured: 100 %).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import multiprocess
from multiprocess import forkserver, resource_tracker, util
from multiprocess.connection import Connection

from evalrunner.engines.leftovers import MARK, Leftovers, bear
from evalrunner.engines.pipe import WorkerPipe, pair
from evalrunner.engines.room import room_for_sockets
from evalrunner.interpreter import away_from_here
from evalrunner.protocol.messages import Message
from evalrunner.protocol.worker import WorkerOrder

#: Seconds for which a dead worker's last words are awaited: they are in the pipe already, and the end behind them,
#: unless something that its target has forked holds the other end.
LAST_WORDS = 1.0
#: Imported once by the forkserver; none of them starts a thread.
PRELOAD = [
    "evalrunner.engines.shield",
    "langsmith",
    "langsmith.client",
    "langsmith.evaluation._arunner",
    "evalrunner.worker.main",
    # The SDK imports it at the first item if it is installed; skipped if it is not.
    "langchain_core.runnables",
    "evalrunner.engines.settled",
]


def _child(module: str, connection: Any, order: WorkerOrder) -> None:
    """Run in the new process. The worker is named, not imported: the supervisor never loads it."""
    sys.excepthook = sys.__excepthook__
    _let_go_of_the_forkserver()
    _let_go_of_the_tracker()
    bear(order.env.get(MARK, ""))
    worker = importlib.import_module(module)
    worker.main(connection, order)


def _let_go_of_the_forkserver() -> None:
    """Close our end of the pipe that keeps the forkserver alive (multiprocess gives it to every child).

    The forkserver ends when nobody holds it any more, and its children are killed. While a worker holds it that
    is stopped, or whose C code keeps the GIL, neither would end with the supervisor.
    """
    held = forkserver._forkserver
    if held._forkserver_alive_fd is not None:
        os.close(held._forkserver_alive_fd)
        held._forkserver_alive_fd = None


def _let_go_of_the_tracker() -> None:
    """Close our end of the pipe to the resource tracker of `multiprocess`, which serves the supervisor.

    A target that writes into every descriptor would have it print tracebacks on the user's terminal. Whoever needs
    one in here starts one of its own.
    """
    held = resource_tracker._resource_tracker
    if held._fd is not None:
        os.close(held._fd)
        held._fd = None


@contextlib.contextmanager
def _away_from_here() -> Iterator[None]:
    """Have `multiprocess` start its interpreters (tracker, forkserver, spawned workers) `away_from_here`.

    All of them pass `util.spawnv_passfds`, with their code behind `-c`.
    """
    plain = util.spawnv_passfds

    def away(path: Any, args: list[Any], fds: Any) -> int:
        at = args.index("-c") + 1
        return int(plain(path, [*args[:at], away_from_here(args[at]), *args[at + 1 :]], fds))

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


class LocalWorker:
    """A worker process and our end of its pipe."""

    def __init__(self, process: Any, pipe: WorkerPipe, order: WorkerOrder) -> None:
        self._process = process
        self._pipe = pipe
        self.worker_id = order.worker_id
        self.slot = order.slot

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    @property
    def sentinel(self) -> Any:
        return self._process.sentinel

    @property
    def channel(self) -> Any:
        return self._pipe.channel

    @property
    def broken(self) -> str:
        return self._pipe.broken

    @property
    def ended(self) -> bool:
        return self._pipe.ended

    def send(self, message: Message) -> None:
        self._pipe.send(message)

    def receive(self) -> list[Message]:
        return self._pipe.receive()

    def last_words(self) -> list[Message]:
        heard = self._pipe.receive()
        self._pipe.finish(LAST_WORDS)
        return heard + self._pipe.receive()

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
        self._process.join(timeout=seconds)
        return self.exitcode() is not None

    def exitcode(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self._pipe.close()
        with contextlib.suppress(ValueError):
            self._process.close()


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
        if self.method == "forkserver":
            self._context.set_forkserver_preload(PRELOAD)

    def start(self, order: WorkerOrder) -> LocalWorker:
        ours, fd = pair()
        theirs = Connection(fd)
        process = self._context.Process(
            target=_child,
            args=("evalrunner.worker.main", theirs, order),
            name=f"evalrunner-{order.worker_id}",
        )
        try:
            with _without_main(), _away_from_here():
                process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return LocalWorker(process, WorkerPipe(ours, str(order.worker_id)), order)

    def end_marked(self, mark: str, spare: set[int]) -> list[str]:
        return self._leftovers.end_marked(mark, spare)

    def end_orphans(self) -> list[str]:
        # Another run in this process may have workers under the same forkserver.
        return self._leftovers.end_orphans({child.pid for child in multiprocess.active_children()})

    def warm_up(self) -> None:
        """Start the forkserver before the first worker is wanted; it imports while we read the order."""
        if self.method != "forkserver":
            return
        with _without_main(), _away_from_here():
            forkserver.ensure_running()

    def cool_down(self) -> None:
        """End the forkserver at once, when no worker is left.

        It ends with this process in any case, but not before it has imported everything, and so long whoever waits
        for the end of our output would wait.
        """
        pid = forkserver._forkserver._forkserver_pid
        if pid is not None:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Nothing to end: the forkserver ends when this process does."""
