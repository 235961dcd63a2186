"""What a lane has to read from the service for an item: attachments, and a recorded run that is only to be scored."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TypeVar
from uuid import UUID

from langsmith.schemas import Example, Run
from langsmith.utils import LangSmithNotFoundError

from evalrunner.delivery.capture.sdk import linked_example
from evalrunner.delivery.capture.trees import read_trace
from evalrunner.protocol.orders import UNFIT, LeasedItem
from evalrunner.protocol.values import UnfitError
from evalrunner.worker.context import WorkerContext

logger = logging.getLogger(__name__)
T = TypeVar("T")


def leased_example(context: WorkerContext, item: LeasedItem) -> Example:
    """Return the example as it was leased: without attachments.

    Raises:
        UnfitError: no worker can take it; it says why.
    """
    if UNFIT in item.example:
        raise UnfitError(item.example[UNFIT])
    facts = {key: value for key, value in item.example.items() if key != "attachment_urls"}
    return linked_example(context.client, facts, context.experiment.tenant_id)


def read_afresh(context: WorkerContext, example: Example) -> Example:
    """Read an example with its attachments: a lease has no links to them, and they would have expired by now."""
    read = context.client.read_example
    return _patiently(
        lambda: read(example.id, as_of=example.modified_at), f"example {example.id}", context.patience
    )


def read_recorded(context: WorkerContext, item: LeasedItem) -> tuple[Run, str]:
    """Read the run that is to be scored; where it cannot be had, return one without contents, and why."""
    project, what = str(context.experiment.id), f"run {item.run_id}"
    try:
        run = _patiently(lambda: read_trace(context.client, project, item.run_id), what, context.patience)
    except Exception as error:
        logger.exception("run %s", item.run_id)
        trouble = f"its recorded run cannot be read: {type(error).__name__}: {error}"[:500]
        return _unread(context, UUID(item.run_id)), trouble
    return run, ""


def _unread(context: WorkerContext, run_id: UUID) -> Run:
    return Run(
        id=run_id,
        trace_id=run_id,
        session_id=context.experiment.id,
        name=context.target.name,
        run_type="chain",
        inputs={},
        start_time=datetime.now(timezone.utc),
    )


def _patiently(read: Callable[[], T], what: str, patience: float) -> T:
    # A worker that ended because the server is away for a while would take its lanes' items with it.
    give_up = time.monotonic() + patience
    pause = 0.5
    while True:
        try:
            return read()
        except (LangSmithNotFoundError, LookupError):
            raise
        except Exception as error:
            if time.monotonic() + pause > give_up:
                raise
            logger.warning("%s cannot be read now, again in %.1f s: %s", what, pause, error)
        time.sleep(pause)
        pause = min(30.0, 2 * pause)
