"""The end of an item: its whole trace into the spool, or, where that cannot be, an error run that says why."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import orjson

from evalrunner.delivery.capture.failures import error_run
from evalrunner.delivery.capture.items import ItemTrace
from evalrunner.delivery.capture.runs import RunBuffer
from evalrunner.errors import SpoolError
from evalrunner.protocol.evaluated import EVALUATORS, Evaluated
from evalrunner.protocol.orders import LeasedItem
from evalrunner.worker.context import WorkerContext

logger = logging.getLogger(__name__)


class Publisher:
    """Publishes the items of a worker."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context

    def publish(self, item: LeasedItem, trace: ItemTrace, warnings: list[str], seconds: float) -> None:
        """Publish a whole trace, or an error run in its place if it cannot be written."""
        _sign(trace)
        try:
            operations = self._context.book.close(trace)
            meta = describe(trace, warnings, seconds)
            self._context.pipeline.publish(item.item, item.token, meta, operations)
        except Exception as error:
            logger.exception("item %s cannot be published as it is", item.item)
            why = f"its trace cannot be written: {type(error).__name__}: {error}"
            self.publish_instead(item, trace, why, seconds)

    def publish_instead(self, item: LeasedItem, trace: ItemTrace, why: str, seconds: float) -> None:
        """Publish an error run in place of a trace that there is none of; if even that fails, end the worker."""
        said = why[:500]
        self._context.book.drop(trace)
        try:
            if trace.task is not None:
                self._publish_failure(item, trace, said, seconds)
                return
            instead = ItemTrace(item.item, item.token, trace.run_id)
            instead.runs[trace.run_id] = error_run_of(
                self._context, item, trace.run_id, f"evalrunner: {said}"
            )
            meta = describe(instead, [said], seconds)
            operations = [run.operation() for run in instead.own()]
            self._context.pipeline.publish(item.item, item.token, meta, operations)
        except SpoolError as error:  # the spool's own thread is about to say so too: both say the same
            self._context.leave(f"its spool cannot be written: {error.__cause__ or error}")
        except Exception as error:
            logger.exception("item %s cannot be published at all", item.item)
            self._context.leave(f"an item's end cannot be written at all: {type(error).__name__}: {error}")

    def _publish_failure(self, item: LeasedItem, trace: ItemTrace, why: str, seconds: float) -> None:
        """Publish, of a run that was only to be scored, that its evaluators failed."""
        instead = ItemTrace(item.item, item.token, trace.run_id)
        instead.task = trace.task
        instead.evaluated = [Evaluated(name, error=f"evalrunner: {why}") for name in item.evaluators or ()]
        meta = describe(instead, [why], seconds)
        self._context.pipeline.publish(item.item, item.token, meta, [])


def error_run_of(context: WorkerContext, item: LeasedItem, run_id: UUID, error: str) -> RunBuffer:
    """Return the root run of an item that has none, with the reason."""
    return error_run(
        run_id,
        name=context.target.name,
        inputs=item.example.get("inputs") or {},
        error=error,
        example_id=item.example["id"],
        project=str(context.experiment.name),
        project_id=context.experiment.id,
        at=datetime.now(timezone.utc),
        metadata=context.metadata_of(item, {}),
    )


def _sign(trace: ItemTrace) -> None:
    """Write into the root's metadata which evaluators ran without an error, and which keys they gave.

    It is the only record of an evaluator that had nothing to say about this item: without it, a command from
    another folder could not tell "does not apply" from "is missing".
    """
    root = trace.runs.get(trace.run_id)
    if root is not None and trace.evaluated:
        ran = {each.name: list(each.keys) for each in trace.evaluated if each.error is None}
        root.extra = {**(root.extra or {})}
        root.extra["metadata"] = {**(root.extra.get("metadata") or {}), EVALUATORS: ran}


def describe(trace: ItemTrace, warnings: list[str], seconds: float) -> dict[str, Any]:
    """Return what the supervisor needs to know of an item, as it stands in the spool record's header."""
    own = trace.own()
    root = trace.runs.get(trace.run_id)
    troubles = [f"run {run.main.get('name')}: {run.trouble}" for run in trace.runs.values() if run.trouble]
    return {
        "scored": trace.task is not None,
        # What has not ended is in the warnings, and not waited for: the item would be executed again and again.
        "runs": [str(run.id) for run in own if run.ended] if trace.task is None else [str(trace.run_id)],
        "others": [str(run.id) for run in trace.others()],
        "feedback": trace.scores,
        "error": _one_line(root.error) if root is not None and root.error else None,
        "warnings": warnings + troubles,
        "seconds": round(seconds, 6),
        "evaluated": [each.to_json() for each in trace.evaluated],
    }


def plain(error: str) -> str:
    """Return a run's error as text; it may be JSON by now."""
    try:
        return str(orjson.loads(error))
    except orjson.JSONDecodeError:
        return error


def _one_line(error: str) -> str:
    """Return the line of a traceback that says what happened: its head, as the SDK puts it first."""
    lines = [line.strip() for line in plain(error).splitlines() if line.strip()]
    return (lines[0] if lines else "error")[:500]
