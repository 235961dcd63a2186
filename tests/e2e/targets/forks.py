"""Targets that fork: what comes out of a fork is no worker, and dies of what a process dies of."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from typing import Any

fork = multiprocessing.get_context("fork")


def _ends_with(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def exits(inputs: dict[str, Any]) -> dict[str, Any]:
    """The copy leaves the target by `sys.exit`, while its parent waits for it."""
    pid = os.fork()
    if not pid:
        sys.exit(inputs["i"])
    return {"code": _ends_with(pid)}


def raises(inputs: dict[str, Any]) -> dict[str, Any]:
    """The copy leaves it by an error."""
    pid = os.fork()
    if not pid:
        raise ValueError("in the copy")
    return {"code": _ends_with(pid) + inputs["i"] - 1}


def returns(inputs: dict[str, Any]) -> dict[str, Any]:
    """The copy leaves it as its parent does."""
    pid = os.fork()
    return {"code": (_ends_with(pid) if pid else 0) + inputs["i"]}


async def exits_async(inputs: dict[str, Any]) -> dict[str, Any]:
    """The same on the event loop."""
    return exits(inputs)


async def returns_async(inputs: dict[str, Any]) -> dict[str, Any]:
    """Likewise."""
    return returns(inputs)


def terminates(inputs: dict[str, Any]) -> dict[str, Any]:
    """End children as pools end theirs: at once, before they have come to anything."""
    for end in (_terminate_forked, _interrupt_started):
        end()
    return {"code": inputs["i"]}


def _terminate_forked() -> None:
    child = fork.Process(target=time.sleep, args=(3600,))
    child.start()
    child.terminate()
    child.join()


def _interrupt_started() -> None:
    child = subprocess.Popen(["sleep", "3600"])
    child.send_signal(2)
    child.wait()


def judged(outputs: dict[str, Any]) -> bool:
    """Fork in an evaluator."""
    return exits({"i": outputs["code"]}) == outputs
