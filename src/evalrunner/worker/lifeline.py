"""The descriptors that a worker lives by, looked at after each call: code that closes all it finds closes them too.

Nobody would ever hear that the call has ended. The event loop waits in a system call for a word through its own two
sockets, says nothing of it when one of them is closed, and the run would wait for this worker for ever.
"""

from __future__ import annotations

import asyncio
import logging
import os

from evalrunner.protocol.worker import GAVE_UP

logger = logging.getLogger(__name__)

#: Private: the sockets by which other threads wake the loop (asyncio/selector_events.py, `_make_self_pipe`).
_WAKING = ("_ssock", "_csock")


class Lifeline:
    """Ends this process when one of these descriptors is not any more what it was."""

    def __init__(self, *descriptors: int) -> None:
        self._are = {fd: _identity(fd) for fd in descriptors}

    def look(self) -> None:
        """Look; one may be closed, or another file's by now. What is durable is sent on by the supervisor."""
        for fd, what in self._are.items():
            if _identity(fd) != what:
                logger.critical("this worker ends itself: the target has closed what it did not open")
                os._exit(GAVE_UP)


def waking(loop: asyncio.AbstractEventLoop) -> list[int]:
    """Return the descriptors by which an event loop is woken, as far as they are known."""
    sockets = (getattr(loop, name, None) for name in _WAKING)
    return [one.fileno() for one in sockets if one is not None]


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        there = os.fstat(fd)
    except OSError:
        return None
    return there.st_dev, there.st_ino
