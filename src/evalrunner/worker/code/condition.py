"""The state of this process that outlives an item: looked at to tell a spoilt process from a bad item."""

from __future__ import annotations

import builtins
import contextlib
import functools
import gc
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_LIMITS = ("NOFILE", "AS", "DATA", "FSIZE", "NPROC", "STACK", "CPU")
_SIGNALS = ("SIGALRM", "SIGCHLD", "SIGPIPE", "SIGVTALRM", "SIGPROF")
#: Threads beyond those at the start that count as a hoard.
_HOARD = 100
Condition = dict[str, Any]


def _folder() -> object:
    there = os.stat(".")
    return there.st_dev, there.st_ino, there.st_nlink > 0


def _limits() -> dict[str, Callable[[], object]]:
    numbers = {f"RLIMIT_{name}": getattr(resource, f"RLIMIT_{name}") for name in _LIMITS}
    return {name: functools.partial(resource.getrlimit, number) for name, number in numbers.items()}


def _output() -> object:
    with contextlib.suppress(OSError):
        return sys.stdout is not None and not sys.stdout.closed and bool(os.fstat(1))
    return False


#: Aspect, as people call it -> how it is looked at.
_ASPECTS: dict[str, Callable[[], object]] = {
    "the current folder": _folder,
    **_limits(),
    "the recursion limit": sys.getrecursionlimit,
    "standard output": _output,
    "the environment": lambda: hash(frozenset(os.environ.items())),
    "the default timeout of sockets": socket.getdefaulttimeout,
    "signal handlers": lambda: [signal.getsignal(getattr(signal, name)) for name in _SIGNALS],
    "an alarm that is set": lambda: any(
        signal.getitimer(which)[0] > 0 for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)
    ),
    "garbage collection": gc.isenabled,
    "the number of threads": lambda: threading.active_count() // _HOARD,
    "functions of the standard library": lambda: [
        json.loads, json.dumps, json.load, json.dump, builtins.open, os.getcwd, time.sleep, time.time, socket.socket,
    ],
}  # fmt: skip


def condition() -> Condition:
    """Look at every aspect; one that cannot be looked at (its folder is gone, say) is None."""
    seen: Condition = {}
    for aspect, look in _ASPECTS.items():
        try:
            seen[aspect] = look()
        except Exception:
            seen[aspect] = None
    return seen


def changed(before: Condition, now: Condition) -> list[str]:
    """Return the aspects that differ."""
    return [aspect for aspect, value in now.items() if value != before[aspect]]
