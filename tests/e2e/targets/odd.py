"""Targets that are called wrongly, say what no encoding holds, or bring clients of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import Any

from langsmith import Client, trace
from langsmith.run_helpers import get_current_run_tree

from evalrunner.protocol.values import NESTING

clients: list[Client] = []


def nothing() -> dict[str, Any]:
    return {}


def surrogates(inputs: dict[str, Any]) -> dict[str, Any]:
    if inputs["i"] % 2:
        raise ValueError("half a pair: \ud800")
    return {"half": "\ud800", "number": float("nan"), "slashes": "\\ud800 \\"}


def own_client(inputs: dict[str, Any]) -> dict[str, Any]:
    if not clients:
        clients.append(Client())
    return {"i": inputs["i"]}


class Stumbles:
    """Its tear-down raises."""

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"i": inputs["i"]}

    def teardown(self) -> None:
        raise RuntimeError("could not let go")


def heals(inputs: dict[str, Any]) -> dict[str, Any]:
    """Raise until it is told that all is well."""
    if inputs["i"] == 0 and not os.environ.get("HEALED"):
        raise ValueError("not yet")
    return {"i": inputs["i"], "healed": bool(os.environ.get("HEALED"))}


def attaches(inputs: dict[str, Any]) -> dict[str, Any]:
    """Attach what has no wire form."""
    run = get_current_run_tree()
    assert run is not None
    run.attachments["plot"] = (None, b"raw")  # type: ignore[assignment]
    return {"i": inputs["i"]}


async def leaves_a_thread(inputs: dict[str, Any]) -> dict[str, Any]:
    """Give up waiting for a thread, as timeouts are often written, and leave it behind."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(threading.Event().wait, 300), 0.01)
    return {"i": inputs["i"]}


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def unfit(inputs: dict[str, Any]) -> dict[str, Any]:
    """Answer with what no service takes, here or in a child run."""
    bad = [2**64, 10**400, _nested(NESTING), _nested(3000), "x" * 30_000_000][inputs["i"] % 5]
    where = ["outputs", "child", "metadata", "inputs", "event"][inputs["i"] // 5]
    run = get_current_run_tree()
    assert run is not None
    if where == "metadata":
        run.metadata["bad"] = bad
    elif where == "event":
        run.add_event({"name": "e", "time": "2026-01-02T03:04:05Z", "kwargs": bad})
    elif where in ("child", "inputs"):
        with trace("child", inputs={"x": bad} if where == "inputs" else {}) as child:
            child.end(outputs={"x": bad} if where == "child" else {})
    return {"i": bad if where == "outputs" else inputs["i"]}


def by_own_client(inputs: dict[str, Any]) -> dict[str, Any]:
    """Trace a child as usual, and something else by a client of its own."""
    own = Client(auto_batch_tracing=False)
    with trace("child"):
        pass
    with trace("by my own client", client=own, project_name=os.environ["OWN_PROJECT"], parent="ignore"):
        pass
    if inputs["i"] == 2:
        raise ValueError("no")
    return {"i": inputs["i"]}
