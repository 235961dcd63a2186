"""What evaluators' traces still hold of root runs that are not there. Pure.

A trace of an evaluator has what it was given: `outputs` of the run that it looked at, `inputs` of the example, or,
where its signature asks for `run`, that whole run (langsmith/evaluation/evaluator.py:226).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from evalrunner.doctor.evidence import metadata_of

#: Key, in a run's metadata, of the evaluator's trace that it was rebuilt from.
REBUILT = "evalrunner_rebuilt_from"
_KEPT = (
    "id",
    "name",
    "start_time",
    "end_time",
    "run_type",
    "inputs",
    "outputs",
    "error",
    "tags",
    "dotted_order",
    "extra",
)


def rebuilt(row: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Return the root run that an evaluator's trace was over, or None if the trace does not hold it.

    Args:
        row: the evaluator's trace, with its inputs.
        name: of the experiment's root runs, where the trace does not say.

    Returns:
        Its fields, without project and example; None too for outputs that a run which failed has as well: whether
        it did, such a trace does not say. Where the trace has no more than the outputs, its begin is its
        id's (a UUIDv7 has the milliseconds in it) or the evaluator's, and its end is the evaluator's begin.
    """
    given = row.get("inputs")
    run = metadata_of(row).get("target_run_id")
    if not isinstance(given, dict) or not isinstance(run, str):
        return None
    whole = given.get("run")
    if isinstance(whole, dict) and str(whole.get("id")) == run and whole.get("end_time"):
        found = {field: whole[field] for field in _KEPT if whole.get(field) is not None}
    elif isinstance(given.get("outputs"), dict) and given["outputs"] not in ({}, {"output": None}):
        found = _from_outputs(given, run, row, name)
    else:
        return None
    return {**found, "id": run, "trace_id": run, "extra": _marked(found.get("extra"), str(row["id"]))}


def _from_outputs(given: Mapping[str, Any], run: str, row: Mapping[str, Any], name: str) -> dict[str, Any]:
    end = str(row.get("start_time") or "")
    found = {
        "name": name,
        "run_type": "chain",
        "start_time": _began(run) or end,
        "end_time": end,
        "outputs": given["outputs"],
    }
    if isinstance(given.get("inputs"), dict):
        found["inputs"] = given["inputs"]
    return found


def _marked(extra: Any, trace: str) -> dict[str, Any]:
    kept = extra if isinstance(extra, dict) else {}
    metadata = kept.get("metadata")
    return {**kept, "metadata": {**(metadata if isinstance(metadata, dict) else {}), REBUILT: trace}}


def _began(run: str) -> str | None:
    """Return when a UUIDv7 was made."""
    known = UUID(run)
    if known.version != 7:
        return None
    since = timedelta(milliseconds=known.int >> 80)
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + since).isoformat()
