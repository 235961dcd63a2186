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

#: The page size that the OpenAPI of the older generation allows; the newer one allows ten times that.
PAGE = 100
#: How often a request is tried.
ATTEMPTS = 3
#: The newer generation looks back one day only, unless it is told where to begin; the SDK says this too
#: (client.py:5376). It ends at the server's present, and a worker's clock may be ahead of that.
_BEGINNING, _AHEAD = "2000-01-01T00:00:00+00:00", timedelta(days=1)


def query_runs(
    client: Client,
    session: str,
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
    if newer:
        selects = [one.upper() for one in select]
        return _newer(client, {**body, "project_ids": [session], "selects": selects}, attempts)
    return older_pages(client, {**body, "session": [session], "select": list(select)}, attempts)


def older_pages(client: Client, body: dict[str, Any], attempts: int = ATTEMPTS) -> Iterator[dict[str, Any]]:
    """Return what a query of the older generation finds, over all its pages; LangSmithError as `query_runs`."""
    body = {**body, "limit": PAGE}
    while True:
        answer = _ask(client, "/runs/query", body, attempts)
        yield from answer["runs"]
        cursor = (answer.get("cursors") or {}).get("next")
        if not answer["runs"] or not cursor:
            return
        body["cursor"] = cursor


def _newer(client: Client, body: dict[str, Any], attempts: int) -> Iterator[dict[str, Any]]:
    end = (SYSTEM.utcnow() + _AHEAD).isoformat()
    body |= {"page_size": PAGE, "min_start_time": _BEGINNING, "max_start_time": end}
    while True:
        # The SDK puts /api/v2 beside the /api or /api/v1 that the endpoint may end in (client.py:11403).
        answer = _ask(client, "/api/v2/runs/query", body, attempts)
        for run in answer["items"]:
            yield {**run, "status": str(run["status"]).lower()} if run.get("status") else run
        if not answer["items"] or not answer.get("next_cursor"):
            return
        body["cursor"] = answer["next_cursor"]


def _ask(client: Client, path: str, body: dict[str, Any], attempts: int) -> Any:
    return client.request_with_retries(
        "POST", path, request_kwargs={"json": body}, stop_after_attempt=attempts
    ).json()
