"""Summary evaluators: once, over the whole experiment, in a process of their own.

The supervisor orders them when every item is visible. They see what the experiment shows, read back, and not
what some process remembers; the user's code, and the runs that it wants in memory, never enter the supervisor.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from langsmith import Client
from langsmith.schemas import Example, Run

from evalrunner.config import Endpoint, TargetSpec
from evalrunner.delivery.capture.sdk import call_summary_evaluator
from evalrunner.delivery.capture.trees import list_root_runs
from evalrunner.protocol.evaluated import LONGEST
from evalrunner.protocol.messages import decode, encode
from evalrunner.protocol.orders import Summarise
from evalrunner.protocol.reports import Summarised
from evalrunner.worker.code.containing import call_contained
from evalrunner.worker.code.evaluators import names_of, said
from evalrunner.worker.code.loading import load
from evalrunner.worker.code.refusal import no_evaluations
from evalrunner.worker.code.scores import checked

logger = logging.getLogger(__name__)


def serve(connection: Any, spec: TargetSpec, endpoint: Endpoint, shims: Path) -> None:
    """Take one order, carry it out, answer; `shims` as for `load`."""
    order = decode(connection.recv_bytes())
    assert isinstance(order, Summarise)
    client = Client(
        api_url=endpoint.url,
        api_key=endpoint.key,
        workspace_id=endpoint.workspace or "",
        auto_batch_tracing=False,
    )
    with no_evaluations():
        loaded = load(spec, shims, only_summary=True).summary_evaluators
    evaluators = list(zip(names_of(spec.summary_names, loaded), loaded, strict=True))
    answer = Summarised({}, {})
    if evaluators:
        runs, examples = _read(client, order)
        answer = _summarise(client, order, evaluators, runs, examples)
    connection.send_bytes(encode(answer))


def _read(client: Client, order: Summarise) -> tuple[list[Run], list[Example]]:
    found = {str(run.id): run for run in list_root_runs(client, order.experiment["id"])}
    by_id = {
        str(example.id): example
        for example in client.list_examples(
            dataset_id=order.experiment["reference_dataset_id"], as_of=order.as_of
        )
    }
    pairs = [
        (found[run], by_id[example])
        for run, example in order.runs.items()
        if run in found and example in by_id
    ]
    return [run for run, _ in pairs], [example for _, example in pairs]


def _summarise(
    client: Client,
    order: Summarise,
    evaluators: list[tuple[str, Any]],
    runs: list[Run],
    examples: list[Example],
) -> Summarised:
    scores: dict[str, dict[str, Any]] = {}
    errors: dict[str, str] = {}
    experiment = UUID(order.experiment["id"])
    for name, evaluator in evaluators:
        try:
            results = checked(
                {"results": call_contained(call_summary_evaluator, client, evaluator, runs, examples)}
            )
        except Exception as error:
            logger.exception("summary evaluator %s failed", name)
            errors[name] = said(error)[:LONGEST]
            continue
        given: Counter[str] = Counter()
        for result in results:
            # Named by what it is, so that the next run of the command replaces it.
            again = f":{given[result.key]}" if given[result.key] else ""
            feedback_id = uuid5(experiment, f"evalrunner:summary:{name}:{result.key}{again}")
            given[result.key] += 1
            _replace(client, experiment, feedback_id, result)
            scores[result.key] = {
                "id": str(feedback_id), "score": result.score, "value": result.value, "comment": result.comment,
            }  # fmt: skip
    return Summarised(scores, errors)


def _replace(client: Client, experiment: UUID, feedback_id: UUID, result: Any) -> None:
    try:
        client.delete_feedback(feedback_id)
    except Exception:
        logger.debug("no earlier summary score %s", feedback_id)
    # All that the SDK records of it (evaluation/_arunner.py:1086).
    client.create_feedback(
        **result.model_dump(exclude={"target_run_id", "evaluator_info"}),
        run_id=None,
        project_id=experiment,
        feedback_id=feedback_id,
        source_info=result.evaluator_info or None,
    )
