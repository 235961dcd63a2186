"""Targets that kill their process, hang, or wait to be killed; the item 3 is the one that does it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evalrunner.protocol.messages import Message
from evalrunner.protocol.reports import Report
from evalrunner.worker.inbox import Inbox
from evalrunner.worker.reporter import Reporter

CULPRIT = 3


def note(item: object, event: str = "begin") -> None:
    """Append a line; O_APPEND makes it whole whoever else writes."""
    fd = os.open(os.environ["CHAOS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{os.getpid()} {item} {event}\n".encode())
    finally:
        os.close(fd)


def _with(deed: Callable[[], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def target(inputs: dict[str, Any]) -> dict[str, Any]:
        note(inputs["i"])
        if inputs["i"] == CULPRIT:
            deed()
        return {"i": inputs["i"]}

    return target


def _forever() -> None:
    while True:
        pass


def _asleep() -> None:
    time.sleep(3600)


def _out_of_memory() -> None:
    # What the kernel does when memory is short, without making it short for everybody else.
    os.kill(os.getpid(), signal.SIGKILL)


killed = _with(_out_of_memory)
exits = _with(lambda: os._exit(0))
exits_like_us = _with(lambda: os._exit(3))
segfaults = _with(lambda: ctypes.string_at(0))
loops = _with(_forever)


async def async_exits(inputs: dict[str, Any]) -> dict[str, Any]:
    """End the process while others are executed in it."""
    note(inputs["i"])
    await asyncio.sleep(0.05)
    if inputs["i"] == CULPRIT:
        os._exit(0)
    return {"i": inputs["i"]}


async def blocks_the_loop(inputs: dict[str, Any]) -> dict[str, Any]:
    """Hang where everything else of an async worker lives too."""
    note(inputs["i"])
    if inputs["i"] == CULPRIT:
        _asleep()
    return {"i": inputs["i"]}


def never_judges(outputs: list[dict[str, Any]]) -> dict[str, Any]:
    """Hang over the whole experiment."""
    note("all", "judging")
    _asleep()
    return {}


def waits(inputs: dict[str, Any]) -> dict[str, Any]:
    """Wait for the file that GATE names; the first five go through."""
    note(inputs["i"])
    while inputs["i"] >= 5 and not Path(os.environ["GATE"]).exists():
        time.sleep(0.005)
    return {"i": inputs["i"]}


def holds_the_gil(inputs: dict[str, Any]) -> dict[str, Any]:
    """Be busy in C code that lets nobody else run, for longer than anybody waits."""
    note(inputs["i"])
    re.match(r"(a+)+$", "a" * 60 + "b")
    return {"i": inputs["i"]}


def has_children(inputs: dict[str, Any]) -> dict[str, Any]:
    """Leave a process of its own behind, as a model server does, and wait."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    note(child.pid, "child")
    return waits({"i": inputs["i"] + 5})


def waits_the_first_time(inputs: dict[str, Any]) -> dict[str, Any]:
    """Wait to be killed when an item is begun for the first time; be done with it the second time."""
    note(inputs["i"])
    begun = Path(os.environ["CHAOS_LOG"]).read_text().split("\n")
    if sum(f" {inputs['i']} begin" in line for line in begun) == 1:
        while not Path(os.environ["GATE"]).exists():
            time.sleep(0.005)
    return {"i": inputs["i"]}


def loses_its_reports(inputs: dict[str, Any]) -> dict[str, Any]:
    """Wait, at the third item, for the order to stop, in a worker whose reports no longer arrive."""
    culprit = inputs["i"] == CULPRIT
    if culprit:
        for one in [found for found in gc.get_objects() if type(found) is Reporter]:
            _swallow_reports(one)
    note(inputs["i"])
    if culprit:
        (inbox,) = [found for found in gc.get_objects() if type(found) is Inbox]
        while not inbox._closed:
            time.sleep(0.005)
    return {"i": inputs["i"]}


def _swallow_reports(reporter: Reporter) -> None:
    send = reporter._send

    def swallow(message: Message) -> None:
        if not isinstance(message, Report):
            send(message)

    reporter._send = swallow


def heavy(inputs: dict[str, Any]) -> dict[str, Any]:
    """Answer at length; the sixtieth item and those after it wait for the file that GATE names."""
    note(inputs["i"])
    while inputs["i"] >= 60 and not Path(os.environ["GATE"]).exists():
        time.sleep(0.005)
    return {"i": inputs["i"], "text": "x" * 150_000}
