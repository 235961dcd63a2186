"""What is evaluated while things go wrong: a target that writes down every execution.

CHAOS_LOG      file that a line is appended to when an item begins and when it ends: pid item begin|end
CHAOS_SECONDS  how long an item takes (0.02)
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from langsmith import traceable

SECONDS = float(os.environ.get("CHAOS_SECONDS", "0.02"))


def note(item: object, event: str) -> None:
    """Append a line; O_APPEND makes it whole whoever else writes."""
    fd = os.open(os.environ["CHAOS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{os.getpid()} {item} {event}\n".encode())
    finally:
        os.close(fd)


@traceable
def double(number: int) -> int:
    """Be a child run."""
    return 2 * number


def target(inputs: dict[str, Any]) -> dict[str, Any]:
    """Take some time."""
    note(inputs["i"], "begin")
    time.sleep(SECONDS)
    answer = double(inputs["i"])
    note(inputs["i"], "end")
    return {"i": inputs["i"], "doubled": answer}


async def async_target(inputs: dict[str, Any]) -> dict[str, Any]:
    """Take some time without keeping others waiting."""
    note(inputs["i"], "begin")
    await asyncio.sleep(SECONDS)
    answer = double(inputs["i"])
    note(inputs["i"], "end")
    return {"i": inputs["i"], "doubled": answer}


def right(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> dict[str, Any]:
    """Score it."""
    return {"key": "right", "score": float(outputs["i"] == reference_outputs["i"])}
