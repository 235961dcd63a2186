"""What the benches evaluate: targets and an evaluator that write down when they ran.

Each call appends one line, `start|end <example number> <seconds since the epoch>`, to a file of its process
in the folder BENCH_LOG: one write to an open file, 2 microseconds, the same for everybody who is measured.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from langsmith import traceable

CPU_S = float(os.environ.get("BENCH_CPU_S", "0.02"))
SLEEP_S = float(os.environ.get("BENCH_SLEEP_S", "0.1"))


class _Log:
    def __init__(self) -> None:
        self._pid, self._fd = 0, -1

    def write(self, what: str, number: Any) -> None:
        if self._pid != os.getpid():  # a forked child must not share its parent's file
            path = os.path.join(os.environ["BENCH_LOG"], f"{os.getpid()}.log")
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._pid = os.getpid()
        os.write(self._fd, f"{what} {number} {time.time():.6f}\n".encode())


_log = _Log()


def cpu(inputs: dict[str, Any]) -> dict[str, Any]:
    """Use the CPU for 20 ms of this thread's own time, so that whoever takes the core away makes it longer."""
    _log.write("start", inputs["x"])
    end = time.thread_time() + CPU_S
    turns = 0
    while time.thread_time() < end:
        turns += 1
    _log.write("end", inputs["x"])
    return {"answer": inputs["x"], "turns": turns}


async def acpu(inputs: dict[str, Any]) -> dict[str, Any]:
    """Do the same as an async function: on the event loop, in nobody's thread pool."""
    return cpu(inputs)


async def sleep(inputs: dict[str, Any]) -> dict[str, Any]:
    """Wait for 100 ms, as for an answer of a model."""
    _log.write("start", inputs["x"])
    await asyncio.sleep(SLEEP_S)
    _log.write("end", inputs["x"])
    return {"answer": inputs["x"]}


async def noop(inputs: dict[str, Any]) -> dict[str, Any]:
    """Do nothing."""
    _log.write("start", inputs["x"])
    return {"answer": inputs["x"]}


@traceable
async def look_up(x: int) -> int:
    """Be a child run."""
    await asyncio.sleep(SLEEP_S)
    return x


async def nested(inputs: dict[str, Any]) -> dict[str, Any]:
    """Wait for 100 ms in a child run."""
    _log.write("start", inputs["x"])
    return {"answer": await look_up(inputs["x"])}


def exact(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> bool:
    """Score whether the answer is the expected one."""
    _log.write("end", outputs["answer"])
    return bool(outputs["answer"] == reference_outputs["answer"])
