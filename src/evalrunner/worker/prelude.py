"""The first lines of a worker's life, before anything of the user's is imported."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

_PR_SET_PDEATHSIG = 1
#: What a worker does not heed, and what Python does with it.
_LEFT_TO_OTHERS: dict[int, Any] = {
    signal.SIGINT: signal.default_int_handler,
    **dict.fromkeys((signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU), signal.SIG_DFL),
}
_forking = threading.local()
#: The SDK turns these into further places to write to, each with a client of its own, past the books.
_REPLICAS = ("LANGSMITH_RUNS_ENDPOINTS", "LANGCHAIN_RUNS_ENDPOINTS")


def become_worker(log: Path, env: dict[str, str]) -> None:
    """Detach this process from the terminal and the supervisor's fate from the user's code.

    Its own process group, so that Ctrl-C reaches only the supervisor and a kill reaches the target's own
    children; its output in `log`; its environment before numpy or torch can read it.
    """
    os.setsid()
    _die_with_parent()
    for number in _LEFT_TO_OTHERS:
        signal.signal(number, _not_mine)
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_as_elsewhere)
    os.environ.update(env)
    for name in _REPLICAS:
        os.environ.pop(name, None)
    _redirect(log)
    # SIGUSR2 dumps every thread's stack, also while C code holds the GIL: the supervisor asks for it
    # before it kills a worker that is stuck.
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )


def _not_mine(number: int, _: FrameType | None) -> None:
    """Leave a signal to the whole job (Ctrl-C, scancel, systemd) to the supervisor, which ends us in good order.

    A handler, and not SIG_IGN, which what the target starts would inherit: it must be able to die of it.
    """


def _hold_signals() -> None:
    # Until the child has handlers of its own: Python forgets what comes in between (PyOS_AfterFork_Child).
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_OTHERS)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _as_elsewhere() -> None:
    """Give a process that the target has forked the handlers that it would have without us: pools end by SIGTERM."""
    for number, handler in _LEFT_TO_OTHERS.items():
        if signal.getsignal(number) is _not_mine:
            signal.signal(number, handler)
    _release_signals()


def _die_with_parent() -> None:
    # With the forkserver the parent is the forkserver, which ends when the supervisor does.
    parent = os.getppid()
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return  # not Linux: the end of the pipe says it too
    if os.getppid() != parent:
        os._exit(1)


def _redirect(log: Path) -> None:
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)
    os.close(null)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(0, "r", closefd=False),
        os.fdopen(1, "w", buffering=1, closefd=False, errors="backslashreplace"),
        os.fdopen(2, "w", buffering=1, closefd=False, errors="backslashreplace"),
    )


def die_with_group() -> None:
    """End this process and whatever the target has started, at once and without any clean-up."""
    os.killpg(0, signal.SIGKILL)
