"""How runs are lost: a process of its own that uses the SDK wrongly, or a service that fails it.

Each way is told which examples of an experiment to do wrongly, and leaves the others alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from scripts.chaos.cause_stage import BATCHES, NotProvoked, Stage, some
from scripts.chaos.cause_truth import runs_of
from tests.support.rig import wait_until

Provoke = Callable[[Stage, list[int]], None]


def otel_there() -> bool:
    """Tell whether the SDK could send by OpenTelemetry."""
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.exporter") is not None


def never(stage: Stage, numbers: list[int]) -> None:
    """Nobody does it."""


def unread(stage: Stage, numbers: list[int]) -> None:
    stage.work(numbers, "unread", read=stage.rng.randint(0, max(0, len(numbers) // 3)), seconds=0.02)


def exit(stage: Stage, numbers: list[int]) -> None:
    stage.work(numbers, stage.rng.choice(("gone", "pooled")), seconds=stage.rng.choice((0.0, 0.01)))


def forked(stage: Stage, numbers: list[int]) -> None:
    stage.work(numbers, "forked", processes=stage.rng.choice((1, 2, 3)))


def tracing_off(stage: Stage, numbers: list[int]) -> None:
    stage.work(numbers, "loop", env={"LANGSMITH_TRACING": "false"})


def killed(stage: Stage, numbers: list[int]) -> None:
    # Without a pause nothing of the last runs is sent; with it they are there, and have no end.
    pause, at = stage.rng.choice((0.0, 0.3, 0.3)), stage.rng.randint(1, len(numbers))
    stage.work(numbers, dies_at=at, pause=pause, seconds=0.02)


def status(*statuses: int, part: bool = True) -> Provoke:
    def provoke(stage: Stage, numbers: list[int]) -> None:
        rule: dict[str, Any] = {"match": BATCHES, "action": "status", "status": stage.rng.choice(statuses)}
        if part and stage.rng.random() < 0.4:
            rule["after_s"] = 1.0  # the first of it arrives: the interpreter alone takes half of that
            seconds = 2.0 / len(numbers)
        else:
            seconds = 0.0
        with stage.fault(rule):
            stage.work(numbers, seconds=seconds, concurrency=1)

    return provoke


def refused_connection(stage: Stage, numbers: list[int]) -> None:
    """The service goes away when the first items have begun, and is back when the SDK has given up."""
    if stage.rng.random() < 0.7:
        status(502, 503, 504)(stage, numbers)
        return
    with stage.fault({"match": BATCHES, "action": "cut_before"}):
        stage.work(numbers)


def too_large(stage: Stage, numbers: list[int]) -> None:
    """Requests that carry a large answer are refused, with all that shares them."""
    heavy = some(stage.rng, numbers)
    rules = [
        {"match": BATCHES, "action": "status", "status": 413, "carries": stage.ids[one]} for one in heavy
    ]
    with stage.fault(*rules):
        stage.work(numbers, heavy=heavy, bulk=20_000, seconds=stage.rng.choice((0.0, 0.05)))


def queue_full(stage: Stage, numbers: list[int]) -> None:
    if stage.rng.random() < 0.5:
        # Room for a part of what is compressed while a request is under way.
        with stage.fault({"match": BATCHES, "action": "stall", "seconds": 1.0}):
            stage.work(
                numbers,
                env={"LANGSMITH_MAX_INGEST_MEMORY_BYTES": "4000"},
                bulk=2000,
                concurrency=4,
            )
        return
    stage.backend.flags(zstd_compression_enabled=False)
    try:
        with stage.fault({"match": BATCHES, "action": "stall", "seconds": 1.0}):
            stage.work(numbers, env={"LANGSMITH_TRACING_QUEUE_MAX_SIZE": "4"}, concurrency=8)
    finally:
        stage.backend.flags(zstd_compression_enabled=True)


def outside(stage: Stage, numbers: list[int]) -> None:
    # The window is what is moved, and not the clock: a job that takes longer than it is refused.
    hours = stage.rng.choice((0.0, 0.3 / 3600))
    with stage.fault(ingest_window_hours=hours):
        stage.work(numbers, seconds=0.4 if hours else 0.0, concurrency=8)


def forgotten(stage: Stage, numbers: list[int]) -> None:
    fraction = stage.rng.choice((0.3, 0.6, 1.0))
    with stage.fault(
        {"match": BATCHES, "action": "forget", "fraction": fraction}, seed=stage.rng.randint(0, 99)
    ):
        stage.work(numbers)


def sampled(stage: Stage, numbers: list[int]) -> None:
    rate = stage.rng.choice(("0.3", "0.5", "0.8"))
    stage.work(numbers, env={"LANGSMITH_TRACING_SAMPLING_RATE": rate})
    project = stage.backend.client.read_project(project_name=stage.experiment)
    mine = {stage.ids[number] for number in numbers}
    if mine.isdisjoint(str(run.reference_example_id) for run in runs_of(stage.backend.client, project)):
        raise NotProvoked("none is left that could tell")


def otel_only(stage: Stage, numbers: list[int]) -> None:
    stage.work(numbers, env={"LANGSMITH_OTEL_ENABLED": "true", "LANGSMITH_OTEL_ONLY": "true"})


def elsewhere(stage: Stage, numbers: list[int]) -> None:
    """An experiment of its own for each process, or a tracer of one's own into another project."""
    if beside := stage.take_well():
        job: dict[str, Any] = {"seconds": 0.05, "concurrency": 1}
        mine = stage.start(numbers, experiment="", prefix=stage.experiment.rpartition("-")[0], **job)
        stage.work(beside, **job)
        stage.end(mine)
        return
    other = f"p-{secrets.token_hex(4)}"
    env = {"LANGSMITH_TRACING": "true", "LANGSMITH_PROJECT": other}
    stage.work(numbers, "loop", experiment="", env=env)


def error_ignored(stage: Stage, numbers: list[int]) -> None:
    options = {"error_handling": "ignore", "num_repetitions": stage.repetitions}
    stage.work(numbers, raises=some(stage.rng, numbers), options=options)


def context_lost(stage: Stage, numbers: list[int]) -> None:
    env = {"LANGSMITH_TRACING": "true", "LANGSMITH_PROJECT": stage.experiment}
    stage.work(numbers, threads="bare", env=env)


def run_twice(stage: Stage, numbers: list[int]) -> None:
    stage.work(numbers)
    stage.work(some(stage.rng, numbers))


def feedback_lost(stage: Stage, numbers: list[int]) -> None:
    """One failed look at /info, and scores go one by one, each by a request that fails."""
    rules: list[dict[str, Any]] = [
        {"match": "GET /info", "action": "status", "status": 403},
        {"match": "POST /feedback", "action": "status", "status": stage.rng.choice((401, 403, 422))},
    ]
    with stage.fault(*rules):
        stage.work(numbers)


def raised(stage: Stage, numbers: list[int]) -> None:
    stage.work(numbers, judge_raises=some(stage.rng, numbers))


def raised_silently(stage: Stage, numbers: list[int]) -> None:
    stage.work(numbers, judge_raises=some(stage.rng, numbers), source=False)


def inputs_hidden(stage: Stage, numbers: list[int]) -> None:
    stage.work(numbers, env={"LANGSMITH_HIDE_INPUTS": "true"})


def still_running(stage: Stage, numbers: list[int]) -> None:
    gate = stage.folder / "under-way"
    stage.waits.append(stage.start(numbers, gate=str(gate), concurrency=1))
    wait_until(gate.exists, what="the first execution")
    project = stage.backend.client.read_project(project_name=stage.experiment)
    client = stage.backend.client
    wait_until(lambda: any(run.end_time is None for run in runs_of(client, project)), 60.0, "an open run")


def read_lag(stage: Stage, numbers: list[int]) -> None:
    with stage.fault({"match": BATCHES, "action": "late", "seconds": 600.0}):
        stage.work(numbers)
