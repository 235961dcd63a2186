"""Healthy experiments under decoys in the environment, and under faults that the SDK outlives."""

from __future__ import annotations

import secrets

from scripts.chaos.cause_stage import BATCHES, Stage
from scripts.chaos.cause_ways import otel_there


def count(stage: Stage) -> int:
    stage.judges = stage.rng.choice((["right"], ["right", "length"]))
    return stage.rng.randint(6, 30)


def well(stage: Stage, how: str = "well", **job: object) -> None:
    stage.make(count(stage))
    stage.work(list(stage.ids), how, **job)


def own(stage: Stage, numbers: list[int]) -> None:
    """Let the process make the experiment, of just these."""
    stage.ids = {number: stage.ids[number] for number in numbers}
    stage.work(numbers, experiment="", prefix="own")
    stage.log.read()
    stage.experiment = stage.log.experiments[-1]


def decoy_tracing_off(stage: Stage) -> None:
    well(stage, env={"LANGSMITH_TRACING": "false"})


def decoy_project(stage: Stage) -> None:
    well(stage, env={"LANGSMITH_TRACING": "true", "LANGSMITH_PROJECT": f"p-{secrets.token_hex(4)}"})


def decoy_otel(stage: Stage) -> None:
    """Both ways at once: what goes to LangSmith is whole."""
    well(stage, env={"LANGSMITH_OTEL_ENABLED": "true"} if otel_there() else {})


def decoy_sampling(stage: Stage) -> None:
    well(stage, env={"LANGSMITH_TRACING_SAMPLING_RATE": "1.0"})


def short_outage(stage: Stage) -> None:
    """The SDK's own retries outlive it."""
    status = stage.rng.choice((500, 502, 503, 504))
    with_fault(stage, {"action": "status", "status": status, "first_n": 2})


def short_limit(stage: Stage) -> None:
    with_fault(stage, {"action": "status", "status": 429, "retry_after": 1, "first_n": 1})


def cut_answers(stage: Stage) -> None:
    """Requests are carried out and not answered: the SDK repeats them."""
    with_fault(stage, {"action": "cut_after", "first_n": 2})


def slow_answers(stage: Stage) -> None:
    with_fault(stage, {"action": "delay", "seconds": 1.0})


def with_fault(stage: Stage, rule: dict[str, object]) -> None:
    stage.make(count(stage))
    with stage.fault({"match": BATCHES, **rule}):
        stage.work(list(stage.ids), concurrency=1, seconds=0.02)


def in_queue(stage: Stage) -> None:
    """A service that takes no compressed traces."""
    stage.backend.flags(zstd_compression_enabled=False)
    try:
        well(stage)
    finally:
        stage.backend.flags(zstd_compression_enabled=True)


def scores_one_by_one(stage: Stage) -> None:
    """One failed look at /info, and every score is a request of its own."""
    stage.make(count(stage))
    with stage.fault({"match": "GET /info", "action": "status", "status": 403}):
        stage.work(list(stage.ids))
