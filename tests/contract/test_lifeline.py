"""A worker whose descriptors are closed by the code that it calls ends, and waits for no word that cannot come."""

from __future__ import annotations

import subprocess
import sys

import pytest

from evalrunner.protocol.worker import GAVE_UP

#: A call in another thread, as a sync target's is, and what it does to the loop that waits for it.
CODE = """
import asyncio, os, socket, sys
from evalrunner.worker.code.containing import after_each_call, call_contained
from evalrunner.worker.lifeline import Lifeline, waking

async def main():
    pipe, _ = os.pipe()
    sockets = waking(asyncio.get_running_loop())
    fds = [pipe, *(one.fileno() for one in sockets)]
    after_each_call(Lifeline(pipe, *sockets).look)
    def call():
        which = sys.argv[1]
        if which == "file":
            os.dup2(os.open(os.devnull, os.O_RDONLY), pipe)
        elif which == "file for a socket":
            os.dup2(os.open(os.devnull, os.O_RDONLY), fds[1])
        elif which == "socket":
            other = socket.socket()
            os.dup2(other.fileno(), fds[2])
        elif which == "no network":
            socket.socket = None
        elif which != "none":
            os.close(fds[int(which)])
        return "came back"
    return await asyncio.to_thread(call_contained, call)

print(len(waking(asyncio.new_event_loop())), asyncio.run(main()))
"""

OTHERS = ("file", "file for a socket", "socket")


@pytest.mark.parametrize(
    ("closed", "code", "said"),
    [
        ("none", 0, "2 came back\n"),
        ("no network", 0, "2 came back\n"),
        *((which, GAVE_UP, "") for which in ("0", "1", "2", *OTHERS)),
    ],
)
def test_a_call_that_closes_a_descriptor_of_the_workers_ends_it(closed: str, code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, closed], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (code, said), done.stderr
    assert ("closed what it did not open" in done.stderr) == bool(code)
