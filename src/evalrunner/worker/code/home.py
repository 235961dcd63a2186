"""The thread in which a sync target lives: the process's main one.

Sync code may be bound to its thread: sqlite handles refuse another one, `threading.local`, CUDA's device and
torch's grad mode are each thread's own, signal handlers are set in the main thread only. So everything of a sync
target happens here, one call after the other: its module's import, set-up, calls, tear-down. The event loop runs
beside it, and `asyncio.run` works here.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from typing import Any

from evalrunner.errors import text_of
from evalrunner.worker.code.containing import run_loop

logger = logging.getLogger(__name__)


class Home:
    """Calls functions in the thread that serves it."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function there; return or raise what it does."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def work() -> None:
            outcome = _outcome(function, args)
            loop.call_soon_threadsafe(_settle, done, outcome)

        self._calls.put(work)
        value, error = await done
        if error is not None:
            raise error
        return value

    def serve(self) -> None:
        """Make the calls, in this thread, until `close`."""
        while True:
            try:
                work = self._calls.get()
                if work is None:
                    return
                work()
            except BaseException as error:  # an alarm that the target has set, and that rang too late
                logger.warning("between two calls: %s", text_of(error))

    def close(self) -> None:
        """Let `serve` return when it has made the calls so far."""
        self._calls.put(None)

    def live(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run an event loop in a thread beside this one, and serve it, until `main` is done.

        Raises:
            BaseException: what `main` raised.
        """
        ended: list[tuple[Any, BaseException | None]] = []

        def beside() -> None:
            ended.append(_outcome(run_loop, (main,)))
            self.close()

        threading.Thread(target=beside, name="loop", daemon=True).start()
        self.serve()
        value, error = ended[0]
        if error is not None:
            raise error
        return value


def _outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    try:
        return function(*args), None
    except BaseException as error:
        return None, error


def _settle(done: asyncio.Future[tuple[Any, BaseException | None]], outcome: tuple[Any, Any]) -> None:
    if not done.done():
        done.set_result(outcome)
