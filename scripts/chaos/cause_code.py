"""What the processes of a case evaluate, and with which evaluators; written down before anything of it is sent.

begin NUMBER RUN PROJECT               the target has begun; RUN is the id of its root run
score NUMBER KEY RUN EVALUATOR_RUN     an evaluator gave a score
raise NUMBER KEY RUN EVALUATOR_RUN     an evaluator raised
experiment NAME                        one was made, or joined
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langsmith import Client, get_current_run_tree, traceable
from langsmith.utils import ContextThreadPoolExecutor


@dataclass
class Job:
    """What is to be done.

    Attributes:
        how: one of HOWS.
        experiment: name, or "" to make one with `prefix`.
        numbers: of the examples, in order; `ids` has the example of each.
        data: how the examples are handed over: as a list, or the whole dataset by name.
        raises: numbers at which the target raises.
        judges: evaluators by name; `judge_raises`: numbers at which the first of them does.
        source: whether the source of the evaluators can be read.
        options: further arguments of `evaluate`.
        dies_at: the target's execution at which the process kills itself, and how long it waits before.
    """

    how: str
    log: str
    dataset: str
    numbers: list[int]
    ids: dict[str, str]
    experiment: str = ""
    prefix: str = ""
    data: str = "list"
    sync: bool = False
    seconds: float = 0.0
    steps: int = 1
    concurrency: int = 2
    raises: list[int] = field(default_factory=list)
    judges: list[str] = field(default_factory=list)
    judge_raises: list[int] = field(default_factory=list)
    source: bool = True
    summary: bool = False
    bulk: int = 0
    heavy: list[int] = field(default_factory=list)
    read: int = 0
    dies_at: int = 0
    pause: float = 0.0
    gate: str = ""
    threads: str = ""
    processes: int = 2
    options: dict[str, Any] = field(default_factory=dict)


class Desk:
    """What this process is at."""

    job: Job
    client: Client
    executions = 0


DESK = Desk()


def note(*words: object) -> None:
    """Append a line; O_APPEND makes it whole whoever else writes."""
    fd = os.open(DESK.job.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, (" ".join(map(str, words)) + "\n").encode())
    finally:
        os.close(fd)


# -- what is evaluated -------------------------------------------------------------------------------------


@traceable
def step(number: int) -> int:
    """Be a child run."""
    return number + 1


def answer(inputs: dict[str, Any]) -> dict[str, Any]:
    """Do the target's work; a part of it in threads, with its context or without."""
    number = int(inputs["i"])
    if DESK.job.threads:
        pool = ThreadPoolExecutor if DESK.job.threads == "bare" else ContextThreadPoolExecutor
        with pool(1) as threads:
            list(threads.map(step, range(DESK.job.steps)))
    else:
        for at in range(DESK.job.steps):
            step(at)
    if number in DESK.job.raises:
        raise ValueError(f"no answer to {number}")
    size = DESK.job.bulk if number in DESK.job.heavy or not DESK.job.heavy else 0
    return {"i": number, **({"bulk": os.urandom(size // 2).hex()} if size else {})}


def begin(inputs: dict[str, Any]) -> None:
    """Write it down, and die if that is what this execution is for."""
    tree = get_current_run_tree()
    note("begin", inputs["i"], tree.id if tree else "-", tree.session_name if tree else "-")
    DESK.executions += 1
    if DESK.job.gate:
        Path(DESK.job.gate).touch()
        time.sleep(600)  # until it is killed: whoever made it looks at the experiment meanwhile
    if DESK.executions == DESK.job.dies_at:
        time.sleep(DESK.job.pause)  # what waited is sent, or not
        os.kill(os.getpid(), signal.SIGKILL)


async def target(inputs: dict[str, Any]) -> dict[str, Any]:
    """Answer."""
    begin(inputs)
    await asyncio.sleep(DESK.job.seconds)
    return answer(inputs)


def sync_target(inputs: dict[str, Any]) -> dict[str, Any]:
    """Answer."""
    begin(inputs)
    time.sleep(DESK.job.seconds)
    return answer(inputs)


# -- evaluators --------------------------------------------------------------------------------------------


def judged(event: str, key: str, run: Any) -> None:
    """Write down what an evaluator does."""
    tree = get_current_run_tree()
    note(event, (run.outputs or {}).get("i", "-"), key, run.id, tree.id if tree else "-")


def right(run: Any, example: Any) -> dict[str, Any]:
    """Score; the first of the evaluators raises where the job says so."""
    number = (example.inputs or {})["i"]
    if number in DESK.job.judge_raises:
        judged("raise", "right", run)
        raise RuntimeError("the judge's quota is used up")
    judged("score", "right", run)
    return {"key": "right", "score": float(number == (run.outputs or {}).get("i"))}


def length(run: Any, example: Any) -> dict[str, Any]:
    """Score."""
    judged("score", "length", run)
    return {"key": "length", "score": len(str(run.outputs))}


def some(run: Any, example: Any) -> dict[str, Any]:
    """Score every other run only."""
    if (example.inputs or {})["i"] % 2:
        return {"results": []}
    judged("score", "some", run)
    return {"key": "some", "score": 1.0}


def several(run: Any, example: Any) -> dict[str, Any]:
    """Score with several keys at once."""
    judged("score", "first", run)
    judged("score", "second", run)
    return {"results": [{"key": "first", "score": 1}, {"key": "second", "score": 0, "comment": "no"}]}


def unsure(run: Any, example: Any) -> dict[str, Any]:
    """Give a comment and no score."""
    judged("score", "unsure", run)
    return {"key": "unsure", "score": None, "comment": "skipped"}


def overall(runs: list[Any], examples: list[Any]) -> dict[str, Any]:
    """Score the experiment."""
    return {"key": "overall", "score": len(runs)}


JUDGES: dict[str, Callable[..., Any]] = {
    "right": right, "length": length, "some": some, "several": several, "unsure": unsure,
}  # fmt: skip
#: As `python -c` and notebooks whose cells are gone define them: without source that can be read.
SOURCELESS = """
def right(run, example):
    if example.inputs["i"] in DESK.job.judge_raises:
        judged("raise", "right", run)
        raise RuntimeError("the judge's quota is used up")
    judged("score", "right", run)
    return {"key": "right", "score": 1.0}
"""


def judges() -> list[Callable[..., Any]]:
    """Return the evaluators."""
    chosen = [JUDGES[name] for name in DESK.job.judges]
    if not DESK.job.source:
        made: dict[str, Any] = {"DESK": DESK, "judged": judged}
        exec(SOURCELESS, made)
        chosen[0] = made["right"]
    return chosen
