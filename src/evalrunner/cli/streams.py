"""The three standard streams of a command, which whoever started it may have closed or pointed at a full disk."""

from __future__ import annotations

import os
import sys
from typing import TextIO

_MODES = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
_lost: list[str] = []


def stand() -> None:
    """Open what is closed (`>&-`, a daemon, cron) on nothing.

    Python has None for it; and the next file opened, a ledger say, would be what everybody else takes for stdout.
    """
    for descriptor, (name, mode) in enumerate(_MODES):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free is this one; children are to have it too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as we live


def silence(stream: TextIO) -> None:
    """Let what else is written to a stream go nowhere, what it still holds too."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def lose(stream: TextIO, error: OSError) -> bool:
    """Silence a stream that cannot be written; True if it is stdout, and somebody will miss what was on it."""
    silence(stream)
    if stream is not sys.stdout:
        return False
    _lost.append(error.strerror or type(error).__name__)
    return True


def was_lost() -> bool:
    """Whether something that this process was asked for could not be written to stdout."""
    return bool(_lost)
