"""What a new worker process does before it is one."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from multiprocess import forkserver, resource_tracker

from evalrunner.engines.inherited import Inherited
from evalrunner.engines.leftovers import MARK, bear
from evalrunner.protocol.worker import WorkerOrder


def become_worker(module: str, connection: Any, order: WorkerOrder, inherited: Inherited) -> None:
    """Run in the new process. The worker is named, not imported: the supervisor never loads it."""
    sys.excepthook = sys.__excepthook__
    inherited.take()
    _let_go_of_the_forkserver()
    _let_go_of_the_tracker()
    bear(order.env.get(MARK, ""))
    worker = importlib.import_module(module)
    worker.main(connection, order)


def _let_go_of_the_forkserver() -> None:
    """Close our end of the pipe that keeps the forkserver alive (multiprocess gives it to every child).

    The forkserver ends when nobody holds it any more, and its children are killed. While a worker holds it that
    is stopped, or whose C code keeps the GIL, neither would end with the supervisor.
    """
    held = forkserver._forkserver
    if held._forkserver_alive_fd is not None:
        os.close(held._forkserver_alive_fd)
        held._forkserver_alive_fd = None


def _let_go_of_the_tracker() -> None:
    """Close our end of the pipe to the resource tracker of `multiprocess`, which serves the supervisor.

    A target that writes into every descriptor would have it print tracebacks on the user's terminal. Whoever needs
    one in here starts one of its own.
    """
    held = resource_tracker._resource_tracker
    if held._fd is not None:
        os.close(held._fd)
        held._fd = None
