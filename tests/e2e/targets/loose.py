"""Targets that trace outside their items, and one that waits until its opening has been sent."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from langsmith import Client, traceable
from langsmith.run_helpers import get_current_run_tree
from langsmith.run_trees import RunTree, get_cached_client


@traceable
def loose_work(marker: str) -> str:
    return marker


class SetsUp:
    """Traces in its constructor, by the SDK's own client of this process, and in its tear-down."""

    def __init__(self) -> None:
        loose_work(f"{os.environ['MARKER']}-0")
        self.client = get_cached_client()

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"ours": type(self.client) is not Client}

    def teardown(self) -> None:
        loose_work("at the end", langsmith_extra={"client": self.client})


def _in_a_thread(item: int) -> None:
    # A thread begins in an empty context: what it traces belongs to no item.
    thread = threading.Thread(target=loose_work, args=(f"{os.environ['MARKER']}-{item}",))
    thread.start()
    thread.join()


def never_ends(inputs: dict[str, Any]) -> dict[str, Any]:
    """Begin a child run and a run elsewhere; neither ever ends."""
    run = get_current_run_tree()
    assert run is not None
    run.create_child("endless child").post()
    thread = threading.Thread(target=RunTree(name="endless", ls_client=run.client).post)
    thread.start()
    thread.join()
    return {"done": inputs["i"]}


def background(inputs: dict[str, Any]) -> dict[str, Any]:
    _in_a_thread(inputs["i"])
    return {"done": inputs["i"]}


def background_and_gate(inputs: dict[str, Any]) -> dict[str, Any]:
    """Trace in a thread of the first item, which then waits, so that the trace travels alone."""
    if inputs["i"] == 0:
        _in_a_thread(0)
    return waits(inputs)


def background_and_death(inputs: dict[str, Any]) -> dict[str, Any]:
    """Trace in a thread, and die of it the first time."""
    _in_a_thread(inputs["i"])
    died = Path(os.environ["DIED"])
    if inputs["i"] == 2 and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"done": inputs["i"]}


def scores_elsewhere(inputs: dict[str, Any]) -> dict[str, Any]:
    """Score a run of another trace from a thread: the score rides with no item."""
    run = get_current_run_tree()
    assert run is not None
    scores = {"run_id": run.id, "trace_id": run.id, "key": "loose-score", "score": 0.5}
    thread = threading.Thread(
        target=run.client.create_feedback, kwargs={**scores, "comment": os.environ["MARKER"]}
    )
    thread.start()
    thread.join()
    return {"done": inputs["i"]}


def scores_nothing(inputs: dict[str, Any]) -> dict[str, Any]:
    """Post a score that can ride with no trace, and swallow the refusal."""
    run = get_current_run_tree()
    assert run is not None
    try:
        run.client.create_feedback(key="alone", score=1, run_id="0190a0a0-0000-7000-8000-000000000000")
    except Exception:
        return {"swallowed": True}
    return {"swallowed": False}


def waits(inputs: dict[str, Any]) -> dict[str, Any]:
    """Wait for the file that GATE names, in the first item."""
    while inputs["i"] == 0 and not Path(os.environ["GATE"]).exists():
        time.sleep(0.005)
    return {"done": inputs["i"]}


def notes_background_and_gate(inputs: dict[str, Any]) -> dict[str, Any]:
    """Trace in a thread and write that down; every item but the first then waits for the gate."""
    _in_a_thread(inputs["i"])
    with Path(os.environ["CHAOS_LOG"]).open("a") as file:
        file.write(f"{os.getpid()} {inputs['i']} begin\n")
    while inputs["i"] and not Path(os.environ["GATE"]).exists():
        time.sleep(0.005)
    return {"i": inputs["i"]}
