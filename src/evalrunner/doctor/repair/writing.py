"""What a repair writes: each is the same however often it is done, for no id is made by chance."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langsmith import Client
from langsmith.utils import LangSmithConflictError

from evalrunner.service.paging import PAGE, portions
from evalrunner.verify.meant import moment

_ATTEMPTS = 5
_THERE = (LangSmithConflictError,)
#: What is written again has an id made from what it is made from.
_RESTORED = uuid.UUID("7a9d9d0e-2c5b-4c60-9a35-6a1f5fd2f0f1")


def create_run(client: Client, fields: Mapping[str, Any]) -> None:
    """Create a run; one that is there already is left as it is (409)."""
    client.request_with_retries(
        "POST", "/runs", request_kwargs={"json": dict(fields)}, stop_after_attempt=_ATTEMPTS, to_ignore=_THERE
    )


def copy(row: Mapping[str, Any], session: str, example: str) -> dict[str, Any]:
    """Return a root run again, linked to an example; its id is made from the old one."""
    run = str(uuid.uuid5(_RESTORED, str(row["id"])))
    kept = {field: value for field, value in row.items() if value is not None}
    extra = row.get("extra")
    metadata = {**(extra or {}).get("metadata", {}), "evalrunner_copy_of": str(row["id"])}
    return {
        **kept,
        "id": run,
        "trace_id": run,
        "dotted_order": order(str(row["start_time"]), run),
        "session_id": session,
        "reference_example_id": example,
        "extra": {**(extra or {}), "metadata": metadata},
    }


def order(start: str, run: str) -> str:
    """Return the place of a root run in its trace."""
    began = moment(start)
    assert began is not None, "it was made from a time"
    return f"{began:%Y%m%dT%H%M%S%f}Z{run}"


def end_run(client: Client, run: str, fields: Mapping[str, Any]) -> None:
    """Change a run."""
    client.request_with_retries(
        "PATCH", f"/runs/{run}", request_kwargs={"json": dict(fields)}, stop_after_attempt=_ATTEMPTS
    )


def delete_traces(client: Client, session: str, traces: Sequence[str]) -> None:
    """Delete whole traces of a project."""
    for part in portions(traces, PAGE):
        body = {"session_id": session, "trace_ids": list(part)}
        client.request_with_retries(
            "POST", "/runs/delete", request_kwargs={"json": body}, stop_after_attempt=_ATTEMPTS
        )


def restore(client: Client, session: str, run: str, trace: str, results: Iterator[dict[str, Any]]) -> int:
    """Write the feedback that an evaluator's trace holds; return how many.

    Args:
        session: id of the experiment.
        run: root run that was evaluated.
        trace: id of the evaluator's trace.
    """
    number = 0
    for one in results:
        key = str(one["key"])
        body = {
            **one,
            # An evaluator may give a key twice, and the SDK keeps both.
            "id": str(uuid.uuid5(_RESTORED, f"{trace} {number} {key}")),
            "run_id": run,
            "trace_id": run,
            "session_id": session,
            "feedback_source": {"type": "model", "metadata": {"__run": {"run_id": trace}}},
        }
        client.request_with_retries(
            "POST", "/feedback", request_kwargs={"json": body}, stop_after_attempt=_ATTEMPTS, to_ignore=_THERE
        )
        number += 1
    return number
