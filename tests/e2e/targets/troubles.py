"""Targets that do what targets ought not to do."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

from langsmith import traceable
from noting import note  # type: ignore[import-not-found]  # beside this file, as a user's modules are

JSON = dict[str, Any]


class NotAnything:
    """Cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no words for this")


@traceable
def child(number: int) -> int:
    """Be a child run."""
    return number


def raises(inputs: JSON) -> JSON:
    """Fail for the odd ones."""
    note(inputs["i"])
    if child(inputs["i"]) % 2:
        raise ValueError(f"item {inputs['i']} is odd")
    return {"sum": inputs["i"] + 1}


def _leave(number: int) -> None:
    match number:
        case 1:
            sys.exit(3)
        case 2:
            raise KeyboardInterrupt
        case 3:
            raise StopIteration
        case 4:
            raise asyncio.CancelledError
        case 5:
            raise GeneratorExit
        case _:
            child(number)


def leaves(inputs: JSON) -> JSON:
    """Try to end the worker, each time in another way."""
    note(inputs["i"])
    _leave(inputs["i"])
    return {"sum": inputs["i"] + 1}


async def async_leaves(inputs: JSON) -> JSON:
    """The same from inside the event loop."""
    note(inputs["i"])
    await asyncio.sleep(0)
    _leave(inputs["i"])
    return {"sum": inputs["i"] + 1}


def strange_outputs(inputs: JSON) -> Any:
    """Answer with what JSON cannot hold."""
    note(inputs["i"])
    loop: JSON = {}
    loop["self"] = loop
    deep: Any = 0
    for _ in range(3000):
        deep = [deep]
    answers = [
        loop,
        {"x": NotAnything()},
        {"x": float("nan"), "y": b"\x00\xff", "z": "\ud800"},
        {"x": deep},
        {"x": 2**70, 3: "a number as a key"},
        None,
        {"x": "x" * 2_000_000},
    ]
    return answers[inputs["i"]]


def loud(inputs: JSON) -> JSON:
    """Write wherever a terminal could be."""
    note(inputs["i"])
    print("LOUD stdout of the target")
    print("LOUD stderr of the target", file=sys.stderr)
    os.write(1, b"LOUD descriptor 1\n")
    os.write(2, b"LOUD descriptor 2\n")
    os.system("echo LOUD shell; echo LOUD shell >&2")
    logging.getLogger("target").warning("LOUD log")
    return {"sum": inputs["i"] + 1}


def improves(inputs: JSON) -> JSON:
    """Fail for the odd ones, until IMPROVED is set."""
    note(inputs["i"])
    if inputs["i"] % 2 and "IMPROVED" not in os.environ:
        raise ValueError("not good enough yet")
    return {"sum": inputs["i"] + 1}


def reads_attachments(inputs: JSON, attachments: JSON) -> JSON:
    """Read what is attached to the example."""
    note(inputs["i"])
    return {"sum": inputs["i"] + 1, "text": attachments["note"]["reader"].read().decode()}
