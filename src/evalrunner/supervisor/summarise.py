"""Having the summary evaluators run, and confirming their scores like the rest: by reading them back."""

from __future__ import annotations

from collections.abc import Callable

from langsmith import Client

from evalrunner.engines.base import Engine, WorkerProcess
from evalrunner.protocol.orders import Summarise
from evalrunner.protocol.reports import Leaving, Summarised
from evalrunner.protocol.worker import WorkerOrder, exit_reason
from evalrunner.supervisor.setup.environment import worker_environment
from evalrunner.supervisor.shell.context import RunContext
from evalrunner.verify.facts import Summary
from evalrunner.verify.readback import ReadBack


def summarise(
    context: RunContext,
    client: Client,
    engine: Engine,
    readback: ReadBack,
    runs: dict[str, str],
    stop_asked: Callable[[], int],
) -> Summary:
    """Run them once over these runs (root run id -> example id)."""
    log = context.folder.logs / "summary.log"
    env = worker_environment(context.config, context.link.endpoint, 0, 1)
    order = WorkerOrder(
        0, 0, context.config.spec, context.config.worker, context.link.endpoint, log, "summarise", env
    )
    process = engine.start(order)
    try:
        session = client.read_project(project_id=context.scope.experiment_id)
        version = (session.metadata or {}).get("dataset_version")
        process.send(Summarise(session.model_dump(mode="json"), runs, version))
        answer = _answer(engine, process, stop_asked)
    finally:
        process.kill()
        process.join(10.0)
        how = exit_reason(process.exitcode())
        process.close()
        engine.end_leftovers()
    if isinstance(answer, Leaving):
        return Summary(errors={"process": answer.why})
    if answer is None:
        interrupted = "it was interrupted; the same command runs them again"
        return Summary(errors={"process": interrupted if stop_asked() else f"it {how}; see {log}"})
    there = {score.id for score in readback.session_scores()} if answer.scores else set()
    scores = {key: {**score, "visible": score["id"] in there} for key, score in answer.scores.items()}
    return Summary(scores, answer.errors)


def _answer(
    engine: Engine, process: WorkerProcess, stop_asked: Callable[[], int]
) -> Summarised | Leaving | None:
    while not stop_asked():
        engine.wait(0.25)
        ended = process.exitcode() is not None
        for message in process.last_words() if ended else process.receive():
            if isinstance(message, (Summarised, Leaving)):
                return message
        if ended or process.broken:
            return None
    return None
