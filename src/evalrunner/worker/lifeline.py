"""The descriptors that a worker lives by, looked at after each call: code that closes all it finds closes them too.

Nobody would ever hear that the call has ended. The event loop waits in a system call for a word through its own two
sockets, says nothing of it when one of them is closed, and the run would wait for this worker for ever.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from evalrunner.protocol.worker import GAVE_UP

logger = logging.getLogger(__name__)

#: Private: the sockets by which other threads wake the loop (asyncio/selector_events.py, `_make_self_pipe`).
_WAKING = ("_ssock", "_csock")
#: Linux: a number that no other socket has (asm-generic/socket.h). To ask for it does not give the interpreter's
#: lock away, as `fstat` does: where a call takes a millisecond, six chances for other threads cost 3 % of it.
_SO_COOKIE, _COOKIE_BYTES = 57, 8
#: Kept from before any code of the user's runs: it may put something else in the place of a module's names.
_SOL_SOCKET, _fstat = socket.SOL_SOCKET, os.fstat


class Lifeline:
    """Ends this process when one of these, descriptors or sockets, is not any more what it was."""

    def __init__(self, *lines: int | socket.socket) -> None:
        self._are = [(line, _identity(line)) for line in lines]

    def look(self) -> None:
        """Look; one may be closed, or another file's by now. What is durable is sent on by the supervisor."""
        for line, what in self._are:
            if _identity(line) != what:
                logger.critical("this worker ends itself: the target has closed what it did not open")
                os._exit(GAVE_UP)


def waking(loop: asyncio.AbstractEventLoop) -> list[socket.socket]:
    """Return the sockets by which an event loop is woken, as far as they are known."""
    sockets = (getattr(loop, name, None) for name in _WAKING)
    return [one for one in sockets if one is not None]


def _identity(line: int | socket.socket) -> object:
    """Return what tells a file from all others; None if it cannot be told, as of a descriptor that is closed."""
    try:
        if not isinstance(line, int):
            return line.getsockopt(_SOL_SOCKET, _SO_COOKIE, _COOKIE_BYTES)
        there = _fstat(line)
    except OSError:
        return None
    return there.st_dev, there.st_ino
