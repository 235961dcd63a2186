"""SIGINT and SIGTERM are counted, not obeyed: the loop looks, and ends in good order."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

STOPPING = (
    "stopping: what has begun is finished, nothing new is begun; a second Ctrl-C kills what is in flight"
)
KILLING = "killing what is in flight; what was finished is safe on disk"


@contextlib.contextmanager
def counted_signals(say: Callable[[str], None]) -> Iterator[Callable[[], int]]:
    """Yield how often the user has asked for an end; in another than the main thread, never.

    Whoever asks first after a signal lets `say` answer it: not the handler, which may have interrupted it.

    Once: finish what is in flight. Twice: kill the workers (what is in their spools is safe). Three times:
    end at once; everything that matters is on disk.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return

    def handler(number: int, _: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 2:
            os._exit(128 + number)

    heard = 0

    def asked_so_far() -> int:
        nonlocal heard
        for answer in (STOPPING, KILLING)[heard : len(asked)]:
            heard += 1
            say(answer)
        return len(asked)

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked_so_far
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextlib.contextmanager
def interrupting_signals() -> Iterator[Callable[[], int]]:
    """Let SIGTERM interrupt as Ctrl-C does, where nothing has begun that would need an orderly end."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield lambda: 0
    finally:
        signal.signal(signal.SIGTERM, before)
