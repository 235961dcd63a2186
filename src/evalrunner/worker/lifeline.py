"""The pipe to the supervisor, looked at after each call: code that closes every descriptor it finds closes it too.

The event loop's own descriptors go with it. Nobody would ever hear that the call has ended: the loop waits in a
system call on what is closed by now, and the run would wait for this worker for ever.
"""

from __future__ import annotations

import logging
import os

from evalrunner.protocol.worker import GAVE_UP

logger = logging.getLogger(__name__)


class Lifeline:
    """Ends this process when a descriptor is not any more what it was.

    Args:
        fd: of the pipe to the supervisor.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._is = _identity(fd)

    def look(self) -> None:
        """Look; it may be closed, or another file's by now. What is durable is sent on by the supervisor."""
        if _identity(self._fd) != self._is:
            logger.critical("this worker ends itself: the target has closed descriptors that are not its own")
            os._exit(GAVE_UP)


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        there = os.fstat(fd)
    except OSError:
        return None
    return there.st_dev, there.st_ino
