"""The bodies and query strings of the second generation of reads, checked."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from evalbackend.errors import HttpError
from evalbackend.filtering.runs import of_run
from evalbackend.store.functions import in_traces, marks
from evalbackend.wire.ingest import RUN_TYPES
from evalbackend.wire.run_query import RunQuery, add_filters, add_ids, as_list, start_after
from evalbackend.wire.values import iso, time_text, uuid_text

_COLUMNS = {"ids": "id", "reference_examples": "reference_example_id", "trace_id": "trace_id"}


def given(body: dict[str, Any]) -> dict[str, Any]:
    """Return what the body says, without nulls; 501 for semantic search. What is not known is not heeded."""
    told = {name: value for name, value in body.items() if value not in (None, "")}
    if "ai_search" in told:
        raise HttpError(501, "ai_search is not served by this backend")
    return told


def run_query(body: dict[str, Any]) -> RunQuery:
    """Return the query of POST /v2/runs/query."""
    told = given(body)
    if not isinstance(told.get("include_subtree_usage", False), bool):
        raise HttpError(400, "include_subtree_usage must be true or false")
    query = RunQuery(limit=page_size(told, 100, 1000))
    sessions = _projects(query, told)
    window(query, told, open_start="reference_dataset_id" in told)
    for name, column in _COLUMNS.items():
        if name in told:
            ids = [uuid_text(one, name) for one in as_list(told[name])]
            add_ids(query, column, ids)
    _flags(query, told)
    add_filters(query, told, sessions, subtrees=bool(told.get("include_subtree_usage")))
    _cursor(query, told)
    return query


def trace_query(body: dict[str, Any]) -> RunQuery:
    """Return the query of POST /v2/traces/query: over root runs, so that a trace_filter is about the run."""
    told = given(body)
    project = project_of(told)
    query = RunQuery(limit=page_size(told, 20, 100))
    query.add("session_id = ? AND parent_run_id IS NULL", project)
    window(query, told)
    if "trace_ids" in told:
        ids = [uuid_text(one, "trace_ids") for one in as_list(told["trace_ids"])]
        query.add(f"id IN ({marks(ids)})", *ids)
    filters = {"filter": told.get("trace_filter"), "tree_filter": told.get("tree_filter")}
    add_filters(query, filters, [project])
    _cursor(query, told)
    return query


def trace_runs_query(trace_id: str, told: dict[str, Any]) -> RunQuery:
    """Return the query of GET /v2/traces/{id}/runs: the whole trace, first start first."""
    query = RunQuery(ascending=True)
    query.add(f"{in_traces('?')} AND +session_id = ?", trace_id, trace_id, project_of(told))
    if (told.get("min_start_time") is None) != (told.get("max_start_time") is None):
        raise HttpError(400, "min_start_time and max_start_time go together: give both or none")
    for name, sign in (("min_start_time", ">="), ("max_start_time", "<=")):
        if told.get(name) is not None:
            query.add(f"start_time {sign} ?", time_text(told[name], name))
    if told.get("filter") is not None:
        condition, args = of_run(text(told["filter"], "filter"), subtrees=False)
        query.add(condition, *args)
    return query


def _projects(query: RunQuery, told: dict[str, Any]) -> list[str]:
    named, dataset = as_list(told.get("project_ids")), told.get("reference_dataset_id")
    if bool(named) == (dataset is not None):
        raise HttpError(400, "exactly one of project_ids and reference_dataset_id must be given")
    if dataset is not None:
        wanted = uuid_text(dataset, "reference_dataset_id")
        query.add("session_id IN (SELECT id FROM sessions WHERE reference_dataset_id = ?)", wanted)
        return []
    ids = [uuid_text(one, "project_ids") for one in named]
    # Where ids or a trace are given, the plus keeps SQLite from walking the whole project.
    query.add(f"{'+' if _COLUMNS.keys() & told.keys() else ''}session_id IN ({marks(ids)})", *ids)
    return ids


def window(query: RunQuery, told: dict[str, Any], open_start: bool = False) -> None:
    """Narrow to starts from `min_start_time` (a day ago, if not told) up to `max_start_time`, if told."""
    since = told.get("min_start_time")
    if since is not None or not open_start:
        query.add("start_time >= ?", a_day_ago() if since is None else time_text(since, "min_start_time"))
    if told.get("max_start_time") is not None:
        query.add("start_time <= ?", time_text(told["max_start_time"], "max_start_time"))


def a_day_ago() -> str:
    """Return the default of min_start_time."""
    return iso(datetime.now(timezone.utc) - timedelta(days=1))


def _flags(query: RunQuery, told: dict[str, Any]) -> None:
    if "run_type" in told:
        kind = text(told["run_type"], "run_type").lower()
        if kind not in RUN_TYPES:
            raise HttpError(400, f"run_type must be one of {', '.join(sorted(RUN_TYPES)).upper()}")
        query.add("run_type = ?", kind)
    for name, yes, no in (
        ("is_root", "parent_run_id IS NULL", "parent_run_id IS NOT NULL"),
        ("has_error", "status = 'error'", "status <> 'error'"),
    ):
        if name in told:
            if not isinstance(told[name], bool):
                raise HttpError(400, f"{name} must be true or false")
            query.add(yes if told[name] else no)


def _cursor(query: RunQuery, told: dict[str, Any]) -> None:
    if "cursor" in told:
        start_after(query, text(told["cursor"], "cursor"))


def page_size(told: dict[str, Any], default: int, most: int) -> int:
    """Return the page size; 422 unless 1 <= size <= most."""
    size = told.get("page_size", default)
    if isinstance(size, str) and size.isascii() and size.isdigit() and len(size) < 6:
        size = int(size)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= most:
        raise HttpError(422, f"page_size must be between 1 and {most}")
    return size


def project_of(told: dict[str, Any], name: str = "project_id") -> str:
    """Return the project that must be named; 400 without it."""
    if told.get(name) is None:
        raise HttpError(400, f"{name} is required")
    return uuid_text(told[name], name)


def text(value: Any, what: str) -> str:
    """Return a string; 400 for anything else."""
    if isinstance(value, str):
        return value
    raise HttpError(400, f"{what} must be a string")
