"""Threads by the second generation of reads (/api/v2)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.filtering.runs import THREAD_ID, of_run, of_trace
from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, answer_page, body_object
from evalbackend.routes.v2_runs import query_selects, read, shape_from
from evalbackend.store import threads as store
from evalbackend.store.runs_read import RunReader
from evalbackend.store.v2_read import make_offset, read_offset
from evalbackend.wire.run_query import as_list
from evalbackend.wire.v2_query import a_day_ago, given, page_size, project_of, text
from evalbackend.wire.v2_shape import Run
from evalbackend.wire.values import time_text

_STATS = {
    "LATENCY_P50": "latency_p50_seconds",
    "LATENCY_P99": "latency_p99_seconds",
    **{name: name.lower() for name in (
        "TURNS", "FIRST_START_TIME", "LAST_START_TIME", "LAST_END_TIME", "PROMPT_TOKENS", "PROMPT_COST",
        "COMPLETION_TOKENS", "COMPLETION_COST", "TOTAL_TOKENS", "TOTAL_COST", "PROMPT_TOKEN_DETAILS",
        "COMPLETION_TOKEN_DETAILS", "PROMPT_COST_DETAILS", "COMPLETION_COST_DETAILS", "FEEDBACK_STATS",
    )},
}  # fmt: skip
_SUMS = {
    **{one: told for one, told in _STATS.items() if one not in ("TURNS", "FEEDBACK_STATS") and "_TIME" not in one},
    **{name: f"{name.lower()}_seconds" for name in ("FIRST_TOKEN_P50", "FIRST_TOKEN_P99")},
    **{name: name.lower() for name in (
        "THREAD_COUNT", "TRACE_COUNT", "ERROR_RATE", "STREAMING_RATE", "MEDIAN_TOKENS", "THREAD_FEEDBACK_STATS",
    )},
}  # fmt: skip
_TRACE_WORDS = {"LATENCY": "LATENCY_SECONDS"}  # what a thread's trace calls otherwise than a run does


def _told(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("thread_filter") is not None:
        raise HttpError(501, "thread_filter is not served by this backend")
    return given(body)


async def _query(request: Request) -> Response:
    body = await body_object(request)
    told = _told(body)
    roots = _roots(told)
    roots.limit = page_size(told, 20, 100)
    roots.cursor = text(told["cursor"], "cursor") if "cursor" in told else None
    return answer_page(request, await read(request, lambda reader: store.thread_page(reader, roots)))


async def _project_stats(request: Request) -> Response:
    body = await body_object(request)
    told = _told(body)
    roots = _roots(told)
    selects = [text(one, "select").upper() for one in as_list(told.get("select"))]
    if not selects or not set(selects) <= _SUMS.keys():
        raise HttpError(400, f"select must name some of {', '.join(_SUMS)}")
    sums = await read(request, lambda reader: store.project_stats(reader, roots))
    return answer({_SUMS[one]: sums[_SUMS[one]] for one in selects})


def _roots(told: dict[str, Any]) -> store.Roots:
    roots = store.roots_of(project_of(told))
    since = told.get("min_start_time")
    roots.add("start_time >= ?", a_day_ago() if since is None else time_text(since, "min_start_time"))
    if "max_start_time" in told:
        roots.add("start_time < ?", time_text(told["max_start_time"], "max_start_time"))
    _filter(roots, told.get("filter"))
    if "trace_filter" in told:
        roots.threads.append(of_run(text(told["trace_filter"], "trace_filter")))
    if "tree_filter" in told:
        roots.threads.append(_tree(roots, told["tree_filter"]))
    return roots


def _filter(roots: store.Roots, value: Any) -> None:
    if value is not None:
        condition, args = of_run(text(value, "filter"))
        roots.add(condition, *args)


def _tree(roots: store.Roots, value: Any) -> tuple[str, list[Any]]:
    return of_trace(text(value, "tree_filter"), [roots.args[0]], root=False)


def _of_thread(request: Request, project: str) -> store.Roots:
    roots = store.roots_of(project)
    roots.add(f"CAST({THREAD_ID} AS TEXT) = ?", request.path_params["id"])
    return roots


async def _traces(request: Request) -> Response:
    told = dict(request.query_params)
    roots = _of_thread(request, project_of(told))
    roots.limit = page_size(told, 20, 100)
    _filter(roots, told.get("filter"))
    _filter(roots, told.get("trace_filter"))
    if "tree_filter" in told:
        condition, args = _tree(roots, told["tree_filter"])
        roots.add(condition, *args)
    offset = read_offset(told["cursor"]) if "cursor" in told else 0
    selects = [one.upper() for one in query_selects(request)]
    words = {_TRACE_WORDS.get(one, one): one for one in selects if one not in ("TURN_NUMBER", "OP")}
    shape = shape_from(request, list({**words, "TRACE_ID": "TRACE_ID"}))

    def work(reader: RunReader) -> dict[str, Any]:
        runs, more = store.thread_traces(reader, roots, shape.fields, offset)
        items = [_shown(shape.shown(run), run, selects) for run in runs]
        return {"items": items, "next_cursor": make_offset(offset + roots.limit) if more else None}

    return answer(await read(request, work))


def _shown(shown: dict[str, Any], run: Run, selects: list[str]) -> dict[str, Any]:
    if "LATENCY" in selects:
        shown["latency"] = shown.pop("latency_seconds")
    if "TURN_NUMBER" in selects:
        shown["turn_number"] = run["turn_number"]
    return shown


async def _stats(request: Request) -> Response:
    told = dict(request.query_params)
    roots = _of_thread(request, project_of(told, "session_id"))
    _filter(roots, told.get("filter"))
    selects = [one.upper() for one in query_selects(request)]
    if not selects or not set(selects) <= _STATS.keys():
        raise HttpError(400, f"selects must name some of {', '.join(_STATS)}")
    sums = await read(request, lambda reader: store.thread_stats(reader, roots))
    return answer({_STATS[one]: sums[_STATS[one]] for one in selects})


routes = [
    Operation(
        "POST /v2/threads/query",
        _query,
        "A page of threads",
        body=f"project_id:uuid! {fields.V2}",
        kind="json",
        unserved="thread_filter, ai_search",
        reads=True,
    ),
    Operation(
        "POST /v2/threads/stats",
        _project_stats,
        "Sums over threads",
        body=f"project_id:uuid! select:text*! {fields.WINDOW} {fields.FILTERS}",
        kind="json",
        unserved="thread_filter, ai_search",
        reads=True,
    ),
    Operation(
        "GET /v2/threads/{id}/traces",
        _traces,
        "Traces of a thread",
        query=f"{fields.PROJECT} {fields.FILTERS} cursor:text page_size:int",
        reads=True,
    ),
    Operation(
        "GET /v2/threads/{id}/stats",
        _stats,
        "Sums",
        query="session_id:uuid! filter:text selects:text*",
        reads=True,
    ),
]
