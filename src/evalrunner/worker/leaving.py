"""How a worker ends itself when it cannot go on: with a reason, for the supervisor cannot see one from outside."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from typing import NoReturn

from evalrunner.protocol.messages import Message
from evalrunner.protocol.reports import Leaving
from evalrunner.protocol.worker import GAVE_UP

logger = logging.getLogger(__name__)
#: Characters of a reason: it goes into a line of the progress and of the receipt.
LONGEST = 300


Send = Callable[[Message], None]
"""Puts a message on the pipe to the supervisor."""


def leave(send: Callable[[Message], None], why: str) -> NoReturn:
    """Say why, and end this process at once; what the target has started is ended by the supervisor.

    What is durable is sent on by the supervisor, what is not will be executed again by another worker.
    """
    # Whatever is wrong with this process (no memory, no descriptors), it ends here.
    with contextlib.suppress(BaseException):
        logger.critical("this worker ends itself: %s", why)
    with contextlib.suppress(BaseException):
        send(Leaving(why[:LONGEST]))
    os._exit(GAVE_UP)
