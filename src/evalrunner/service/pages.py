"""Runs of an experiment, page by page, in whichever generation of reads the service answers.

`POST /runs/query` (the older generation, which the SDK deprecates "after Jan 31, 2027") or
`POST /api/v2/runs/query`; which one, service/capabilities.py tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from langsmith import Client

from evalrunner.clock import SYSTEM
from evalrunner.service.paging import ATTEMPTS, PAGE, Rows, by_cursor

#: The newer generation looks back one day only, unless it is told where to begin; the SDK says this too
#: (client.py:5376). It ends at the server's present, and a worker's clock may be ahead of that.
_BEGINNING, _AHEAD = "2000-01-01T00:00:00+00:00", timedelta(days=1)


def query_runs(
    client: Client,
    session: str | Sequence[str],
    select: Sequence[str],
    *,
    newer: bool,
    is_root: bool | None = None,
    ids: Sequence[str] | None = None,
    matching: str | None = None,
    attempts: int = ATTEMPTS,
) -> Iterator[dict[str, Any]]:
    """Return runs of a project, latest start first.

    Args:
        session: its id, or those of several.
        select: fields that both generations have under the same name.
        newer: ask `/api/v2`.
        is_root: only root runs, or only others.
        ids: only these runs.
        matching: only what this filter says, in the language of both generations.
        attempts: how often each request is tried.

    Raises:
        LangSmithError: the service refuses, or cannot be reached.
    """
    narrowed = {
        "is_root": is_root,
        "ids" if newer else "id": list(ids) if ids is not None else None,
        "filter": matching,
    }
    body = {name: value for name, value in narrowed.items() if value is not None}
    sessions = [session] if isinstance(session, str) else list(session)
    if newer:
        selects = [one.upper() for one in select]
        return _newer(client, {**body, "project_ids": sessions, "selects": selects}, attempts)
    return older_pages(client, {**body, "session": sessions, "select": list(select)}, attempts)


def older_pages(client: Client, body: dict[str, Any], attempts: int = ATTEMPTS) -> Iterator[dict[str, Any]]:
    """Return what a query of the older generation finds, over all its pages; LangSmithError as `query_runs`."""
    return by_cursor(client, "/runs/query", {**body, "limit": PAGE}, _older_page, attempts)


def _older_page(answer: dict[str, Any]) -> tuple[Rows, str | None]:
    return answer["runs"], (answer.get("cursors") or {}).get("next")


def _newer(client: Client, body: dict[str, Any], attempts: int) -> Iterator[dict[str, Any]]:
    end = (SYSTEM.utcnow() + _AHEAD).isoformat()
    body |= {"page_size": PAGE, "min_start_time": _BEGINNING, "max_start_time": end}
    # The SDK puts /api/v2 beside the /api or /api/v1 that the endpoint may end in (client.py:11403).
    return by_cursor(client, "/api/v2/runs/query", body, _newer_page, attempts)


def _newer_page(answer: dict[str, Any]) -> tuple[Rows, str | None]:
    runs = [
        {**run, "status": str(run["status"]).lower()} if run.get("status") else run for run in answer["items"]
    ]
    return runs, answer.get("next_cursor")
