"""Nothing that somebody's code raises ends a worker, or its event loop.

`Exception` is the least of it: Rust's panics, `pytest.fail`, `sys.exit`, `trio.Cancelled` and groups of these are
none, and a task that exits raises out of the event loop itself (asyncio/events.py, `Handle._run`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from evalrunner.errors import text_of

logger = logging.getLogger(__name__)
_OURS = str(Path(__file__).parents[2])
#: Seconds that a copy has for what it prints at its end.
_LAST_WORDS = 1.0
#: What `after_each_call` was given.
_looks: list[Callable[[], None]] = []


class Aborted(RuntimeError):
    """What a target or an evaluator raised was no ordinary exception; its text is that exception's own.

    It is recorded as the item's error, or the score's, and the worker goes on with the next item.
    """

    def __repr__(self) -> str:
        return str(self)


def ordinary(error: BaseException) -> Exception:
    """Return an exception that everybody can catch and print: itself if it is one, else one with its text."""
    plain = isinstance(error, Exception) and not isinstance(error, (StopIteration, StopAsyncIteration))
    if plain and _printable(error):
        return error  # type: ignore[return-value]
    made = Aborted(text_of(error)).with_traceback(error.__traceback__)
    made.__suppress_context__ = True
    if _notes_can_be_read(error):
        made.__cause__ = error
    return made


def _printable(error: BaseException) -> bool:
    try:
        repr(error), str(error)
        return _notes_can_be_read(error)
    except BaseException:
        return False


def _notes_can_be_read(error: BaseException) -> bool:
    # `traceback` reads them, before 3.12 without any care: what they raise would come out of a logger's call.
    try:
        getattr(error, "__notes__", None)
    except BaseException:
        return False
    return True


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first frame on that is not ours."""
    found = trace
    while found is not None and found.tb_frame.f_code.co_filename.startswith(_OURS):
        found = found.tb_next
    return found or trace


def described(error: Exception) -> str:
    """Return an error as it stands in a run (as run_helpers.py:1482 writes it), whatever it cannot print."""
    trace = "".join(traceback.format_tb(users_part((error.__cause__ or error).__traceback__)))
    return f"{text_of(error)}\n\nTraceback (most recent call last):\n{trace}{text_of(error)}\n"


def call_contained(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function; raise nothing but ordinary exceptions. It returns in the process that has called it only."""
    pid = os.getpid()
    try:
        answer = function(*args)
    except BaseException as error:
        end_copy(pid, error)
        _look()
        raise ordinary(error)  # noqa: B904 - its cause is set, or it is the error itself
    end_copy(pid)
    _look()
    return answer


def after_each_call(look: Callable[[], None]) -> None:
    """Have `look` called whenever the user's code comes back from a call off the event loop."""
    _looks.append(look)


def _look() -> None:
    for look in _looks:
        look()


def end_copy(pid: int, error: BaseException | None = None) -> None:
    """End a process that the user's code has forked, and that comes out of it with an error or an answer.

    It is no worker, and would wait for the next item while its parent waits for its end. It leaves as a script would.

    Args:
        pid: of the process that went in.
        error: what it comes out with.
    """
    if os.getpid() == pid:
        return
    code = error.code if isinstance(error, SystemExit) else error
    # A thread of the parent may have been writing at the fork: the stream's lock is held in the copy for ever.
    with suppress(BaseException):
        words = threading.Thread(target=_last_words, args=(code,), daemon=True)
        words.start()
        words.join(_LAST_WORDS)
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))


def _last_words(code: Any) -> None:
    with suppress(BaseException):
        if isinstance(code, BaseException):
            traceback.print_exception(code)
        elif not isinstance(code, (int, type(None))):
            print(code, file=sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()


async def contained_await(awaitable: Any) -> Any:
    """Await something of the user's; raise nothing but ordinary exceptions."""
    try:
        return await awaitable
    except BaseException as error:
        raise ordinary(error)  # noqa: B904 - as above


def run_loop(main: Coroutine[Any, Any, Any]) -> Any:
    """Run an event loop until `main` is done, whatever its other tasks raise out of it; return main's result.

    A task that raises SystemExit or KeyboardInterrupt keeps it for whoever awaits it, and then breaks the loop:
    so the loop goes on.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return _run(loop, main)
    finally:
        for task in (left := asyncio.all_tasks(loop)):
            task.cancel()
        with suppress(BaseException):
            _run(loop, _together(left))
        loop.close()


def _run(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, Any]) -> Any:
    task = loop.create_task(main)
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            logger.warning("a task of the target's raised %s", text_of(error))
    return task.result()


async def _together(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
