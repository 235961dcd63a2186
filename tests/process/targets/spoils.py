"""Targets that spoil what lies around them: pipes, the GIL, the start of their own worker."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CULPRIT = 3


def note(item: object, event: str = "begin") -> None:
    """Append a line; O_APPEND makes it whole whoever else writes."""
    fd = os.open(os.environ["CHAOS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{os.getpid()} {item} {event}\n".encode())
    finally:
        os.close(fd)


def regex(inputs: dict[str, Any]) -> dict[str, Any]:
    """Every item but the first takes the GIL at its first moment, and keeps it."""
    if inputs["i"]:
        re.match(r"(a+)+$", "a" * 60 + "b")
    return {"i": inputs["i"]}


def _pipes() -> list[int]:
    found = []
    for fd in range(3, 256):
        try:
            mode = os.fstat(fd).st_mode
        except OSError:
            continue
        if stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode):
            found.append(fd)
    return found


def scribbles(inputs: dict[str, Any]) -> dict[str, Any]:
    """Write into every pipe and socket of the process, as a careless daemon would."""
    note(inputs["i"])
    if inputs["i"] == CULPRIT:
        for fd in _pipes():
            try:
                os.write(fd, b"hello, world\n" * 3)
            except OSError:
                continue
    return {"i": inputs["i"]}


def stops_in_mid_report(inputs: dict[str, Any]) -> dict[str, Any]:
    """Begin a message on every socket, and be stopped."""
    note(inputs["i"])
    if inputs["i"] == CULPRIT:
        for fd in _pipes():
            try:
                os.write(fd, b"\0\0\1\0[")
            except OSError:
                continue
        os.kill(os.getpid(), signal.SIGSTOP)
    return {"i": inputs["i"]}


class Picky:
    """Loads in every place but the first, where there is no GPU."""

    def __init__(self) -> None:
        if os.environ["EVALRUNNER_WORKER_ID"] == "0":
            raise RuntimeError("no GPU here")

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        note(inputs["i"])
        return {"i": inputs["i"]}


class Hangs:
    """Never comes up."""

    def setup(self) -> None:
        _wait_for_ever()

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return inputs


def _wait_for_ever() -> None:
    time.sleep(3600)


def breaks_the_spool(inputs: dict[str, Any]) -> dict[str, Any]:
    """Leave the spool no room, once."""
    import resource

    note(inputs["i"])
    once = Path(os.environ["CHAOS_LOG"] + ".once")
    if inputs["i"] == CULPRIT and not once.exists():
        once.touch()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    return {"i": inputs["i"]}


# -- the process, for good ---------------------------------------------------------------------------------


def _no_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))


def _no_folder() -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


def _no_depth() -> None:
    # As low as the interpreter lets us from here; the rest of this process is as deep.
    sys.setrecursionlimit(len(inspect.stack()) + 60)


def _no_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**24, used + 2**24))


def _other_json() -> None:
    json.dumps = lambda *_, **__: 1 / 0  # type: ignore[assignment]


class _Blocked(socket.socket):
    def __init__(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("the network is blocked")


def _no_network() -> None:
    # Our sender in this process has none either; pyfakefs, pytest-socket and their like do such things.
    socket.socket = _Blocked  # type: ignore[misc]


def _down(depth: int) -> int:
    return depth and _down(depth - 1)


#: What spoils the process -> what every item needs.
SPOILT: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "descriptors": (_no_descriptors, lambda: Path(os.devnull).read_bytes()),
    "folder": (_no_folder, os.getcwd),
    "recursion": (_no_depth, lambda: _down(500)),
    "output": (sys.stdout.close, lambda: print("hello")),
    "environment": (os.environ.clear, lambda: os.environ["CHAOS_LOG"]),
    "memory": (_no_memory, lambda: bytearray(2**27)),
    "json": (_other_json, lambda: json.dumps({})),
    "network": (_no_network, lambda: None),
    "timeout": (lambda: socket.setdefaulttimeout(1e-9), lambda: _meet(0)),
}


def _meet(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as server:
        socket.create_connection(server.getsockname()[:2]).close()


_LOG = os.environ.get("CHAOS_LOG", os.devnull)
_noted = os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def spoilt(inputs: dict[str, Any]) -> dict[str, Any]:
    """One item changes the process so that every later one fails in it."""
    os.write(_noted, f"{os.getpid()} {inputs['i']} begin\n".encode())
    spoil, need = SPOILT[_HOW]
    need()
    if inputs["i"] == CULPRIT:
        spoil()
    return {"i": inputs["i"]}


_HOW = os.environ.get("SPOIL", "")


def closes_every_descriptor(inputs: dict[str, Any]) -> dict[str, Any]:
    """One item closes all that it finds, as a daemon would, but in its worker."""
    note(inputs["i"])
    if inputs["i"] == CULPRIT:
        os.closerange(3, 256)
    return {"i": inputs["i"]}


def always_out_of_memory(inputs: dict[str, Any]) -> dict[str, Any]:
    """Fail like a spoilt process, wherever it is."""
    note(inputs["i"])
    if inputs["i"] > 1:
        raise MemoryError
    return {"i": inputs["i"]}


_LOOP: list[asyncio.AbstractEventLoop] = []


def _daemon(kind: str) -> None:
    """Leave a process behind that no kill of the group reaches."""
    sleep = [sys.executable, "-c", "import time; time.sleep(3600)"]
    if kind == "session":
        note(subprocess.Popen(sleep, start_new_session=True).pid, "child")
    elif kind == "cleared":
        note(subprocess.Popen(sleep, start_new_session=True, env={}).pid, "child")
    elif not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        note(os.getpid(), "child")
        for fd in range(3, 256):
            with contextlib.suppress(OSError):
                os.close(fd)
        time.sleep(3600)


def leaves_daemons(inputs: dict[str, Any]) -> dict[str, Any]:
    """The first three items leave a daemon each, the fourth ends the process if it is told to."""
    note(inputs["i"])
    if inputs["i"] < CULPRIT:
        _daemon(["session", "cleared", "forked"][inputs["i"]])
    elif inputs["i"] == CULPRIT and os.environ.get("THEN") == "die" and not _seen("again"):
        note("again")
        os.kill(os.getpid(), signal.SIGKILL)
    return {"i": inputs["i"]}


def _seen(item: str) -> bool:
    return f" {item} begin" in Path(os.environ["CHAOS_LOG"]).read_text()


def closes_the_loop(inputs: dict[str, Any]) -> dict[str, Any]:
    """Keep an event loop for the process, which one item closes."""
    note(inputs["i"])
    if not _LOOP:
        _LOOP.append(asyncio.new_event_loop())
    _LOOP[0].run_until_complete(asyncio.sleep(0))
    if inputs["i"] == CULPRIT:
        _LOOP[0].close()
    return {"i": inputs["i"]}
