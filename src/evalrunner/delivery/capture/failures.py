"""Failures as the experiment shows them: the run of an item that has none of its own, the score that is missing."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from evalrunner.delivery.capture.runs import RunBuffer
from evalrunner.delivery.spool.record import JSON, Operation
from evalrunner.protocol.ids import failure_id


def error_run(
    run_id: UUID,
    *,
    name: str,
    inputs: dict[str, Any],
    error: str,
    example_id: str,
    project: str,
    project_id: UUID,
    at: datetime,
    metadata: dict[str, Any],
) -> RunBuffer:
    """Make the root run of an item that has none of its own: complete, with an error, linked to its example.

    Args:
        project, project_id: the experiment's name and id; the id counts where the name has changed.
        at: aware time in UTC; the run starts and ends there.
    """
    run = RunBuffer(run_id, run_id)
    run.post(
        {
            "id": run_id,
            "trace_id": run_id,
            # The SDK's own form (run_trees.py:1599): start time, then the id.
            "dotted_order": at.strftime("%Y%m%dT%H%M%S%fZ") + str(run_id),
            "name": name,
            "run_type": "chain",
            "inputs": inputs,
            "outputs": {"output": None},
            "error": error,
            "start_time": at.isoformat(),
            "end_time": at.isoformat(),
            "session_name": project,
            "session_id": str(project_id),
            "reference_example_id": example_id,
            "extra": {"metadata": metadata},
        }
    )
    return run


def failure(run_id: UUID, evaluator: str, key: str, error: str, *, session: UUID, at: datetime) -> Operation:
    """Make the feedback that says that an evaluator failed on a root run (evaluation/_arunner.py:1009)."""
    feedback = str(failure_id(run_id, evaluator, key))
    body = {
        "id": feedback,
        "run_id": run_id,
        "trace_id": run_id,
        "session_id": session,
        "key": key,
        "comment": error,
        "extra": {"error": True},
        "error": True,
        "feedback_source": {"type": "model", "metadata": {}},
        "created_at": at,
        "modified_at": at,
    }
    return "feedback", feedback, [(f"feedback.{feedback}", JSON, orjson.dumps(body))]
