"""A run as it was read back, in the same words whichever generation of reads told it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests

SELECTS = [
    "ID", "NAME", "RUN_TYPE", "STATUS", "START_TIME", "END_TIME", "INPUTS", "OUTPUTS", "ERROR", "TAGS", "EXTRA",
    "TRACE_ID", "DOTTED_ORDER", "PARENT_RUN_IDS", "PROJECT_ID", "REFERENCE_EXAMPLE_ID", "FEEDBACK_STATS",
    "TOTAL_TOKENS", "TOTAL_COST", "ATTACHMENTS",
]  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What both generations tell of a run."""

    id: str
    name: str
    run_type: str
    status: str
    start_time: datetime
    end_time: datetime | None
    inputs: dict[str, Any]
    outputs: dict[str, Any] | None
    error: str | None
    tags: list[str]
    metadata: dict[str, Any]
    trace_id: str
    dotted_order: str
    parent_run_id: str | None
    session_id: str
    example_id: str | None
    scores: dict[str, tuple[int, float | None]] = field(default_factory=dict)
    tokens: int = 0
    cost: float = 0.0
    files: dict[str, bytes] = field(default_factory=dict)


def seen_v1(run: Any) -> Seen:
    """Of a langsmith.schemas.Run."""
    files = {name: file["reader"].read() for name, file in (run.attachments or {}).items()}
    scores = {key: (one["n"], one.get("avg")) for key, one in (run.feedback_stats or {}).items()}
    return Seen(
        str(run.id), run.name, run.run_type, run.status, run.start_time, run.end_time, run.inputs or {},
        run.outputs, run.error, sorted(run.tags or []), run.metadata, str(run.trace_id), run.dotted_order,
        _text(run.parent_run_id), str(run.session_id), _text(run.reference_example_id), scores,
        run.total_tokens or 0, float(run.total_cost or 0), files,
    )  # fmt: skip


def seen_v2(run: Any, server: str) -> Seen:
    """Of a run of the generated client."""
    files = {
        name: requests.get(server + url.removeprefix(server), timeout=60).content
        for name, url in (run.attachments or {}).items()
    }
    scores = {key: (one.n, one.avg) for key, one in (run.feedback_stats or {}).items()}
    parents = run.parent_run_ids or []
    return Seen(
        run.id, run.name, run.run_type.lower(), run.status.lower(), run.start_time, run.end_time,
        run.inputs or {}, run.outputs, run.error, sorted(run.tags or []),
        (run.extra or {}).get("metadata") or {}, run.trace_id, run.dotted_order,
        parents[-1] if parents else None, run.project_id, run.reference_example_id, scores,
        run.total_tokens or 0, float(run.total_cost or 0), files,
    )  # fmt: skip


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
