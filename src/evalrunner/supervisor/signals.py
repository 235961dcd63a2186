"""SIGINT and SIGTERM are counted, not obeyed: the loop looks, and ends in good order."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def counted_signals() -> Iterator[Callable[[], int]]:
    """Yield how often the user has asked for an end; in another than the main thread, never.

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

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: len(asked)
    finally:
        for number, old in before.items():
            signal.signal(number, old)
