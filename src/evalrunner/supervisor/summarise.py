"""Having the summary evaluators run, and confirming their scores like everything else: by reading them back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from langsmith import Client
from multiprocess.connection import wait

from evalrunner.config import Endpoint, RunConfig
from evalrunner.engines.base import Engine, WorkerPlan
from evalrunner.protocol.messages import Message, Summarise, Summarised
from evalrunner.protocol.worker import exit_reason
from evalrunner.supervisor.environment import worker_environment
from evalrunner.supervisor.experiment import Scope
from evalrunner.supervisor.folder import RunFolder
from evalrunner.verify.readback import ReadBack


@dataclass
class Summary:
    """What the summary evaluators came to.

    Attributes:
        scores: key -> {"score", "value", "comment", "visible"}.
        errors: evaluator -> what went wrong, one line.
    """

    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def summarise(
    config: RunConfig,
    endpoint: Endpoint,
    scope: Scope,
    engine: Engine,
    folder: RunFolder,
    client: Client,
    readback: ReadBack,
    runs: dict[str, str],
) -> Summary:
    """Run them once over these runs (root run id -> example id)."""
    plan = WorkerPlan(
        0, 0, config.spec, config.worker, endpoint, folder.logs / "summary.log", "summarise",
        worker_environment(config, endpoint, 0, 1),
    )  # fmt: skip
    process = engine.start(plan)
    session = client.read_project(project_id=scope.experiment_id)
    experiment = orjson.loads(orjson.dumps(session.model_dump(mode="json")))
    process.send(Summarise(experiment, runs, (session.metadata or {}).get("dataset_version")))
    try:
        answer = _answer(process)
    finally:
        process.kill()
        how = exit_reason(process.exitcode())
        process.close()
    if answer is None:
        return Summary(
            errors={"summary evaluators": f"their process {how}; see {folder.logs / 'summary.log'}"}
        )
    there = {score.id for score in readback.session_scores()} if answer.scores else set()
    scores = {key: {**score, "visible": score["id"] in there} for key, score in answer.scores.items()}
    return Summary(scores, answer.errors)


def _answer(process: Any) -> Summarised | None:

    while True:
        wait([process.channel, process.sentinel])
        messages: list[Message] = process.receive()
        for message in messages:
            if isinstance(message, Summarised):
                return message
        if process.exitcode() is not None:
            return None
