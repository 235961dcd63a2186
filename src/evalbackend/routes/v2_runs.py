"""Runs, traces and experiments by the second generation of reads (/api/v2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, answer_page, base_of, body_object, path_id, signer_of, state
from evalbackend.store import v2_read as store
from evalbackend.store.comparative import require_comparative
from evalbackend.store.examples_read import ExampleReader
from evalbackend.store.runs_read import RunReader
from evalbackend.wire.run_query import as_list, filters_of
from evalbackend.wire.v2_query import (
    given,
    page_size,
    project_of,
    run_query,
    text,
    trace_query,
    trace_runs_query,
)
from evalbackend.wire.v2_shape import Shape, shape_of
from evalbackend.wire.values import optional_uuid, uuid_text

T = TypeVar("T")
_SORT = "feedback."


def shape_from(request: Request, selects: Any) -> Shape:
    """Return what is selected, for a client that reaches this server as `request` does."""
    return shape_of(selects, base_of(request))


def query_selects(request: Request) -> list[str]:
    """Return the `selects` of a query string."""
    return request.query_params.getlist("selects")


async def read(request: Request, work: Callable[[RunReader], T], subtrees: bool = False) -> T:
    """Run `work` with a reader of runs, which shows usage with that of descendants if `subtrees`."""
    opened, signer = state(request).store, signer_of(request)
    return await opened.read(
        lambda c: work(
            RunReader(c, opened.tenant_id, signer, subtrees=subtrees, first_tokens=subtrees, naive=False)
        )
    )


async def _query(request: Request) -> Response:
    body = await body_object(request)
    query, shape = run_query(body), shape_from(request, body.get("selects"))
    subtrees = bool(body.get("include_subtree_usage"))
    return answer_page(
        request, await read(request, lambda reader: store.run_page(reader, query, shape), subtrees)
    )


async def _one(request: Request) -> Response:
    run_id, project = path_id(request), project_of(dict(request.query_params))
    shape = shape_from(request, query_selects(request))
    return answer(await read(request, lambda reader: store.one_run(reader, run_id, project, shape)))


async def _url(request: Request) -> Response:
    run_id, told = path_id(request), dict(request.query_params)
    project, trace = project_of(told), project_of(told, "trace_id")
    place = f"{base_of(request)}/o/{state(request).store.tenant_id}/projects/p/{project}/r/{run_id}"
    return answer({"url": f"{place}?trace_id={trace}"})


async def _traces(request: Request) -> Response:
    body = await body_object(request)
    query, shape = trace_query(body), shape_from(request, body.get("selects"))
    return answer_page(request, await read(request, lambda reader: store.trace_page(reader, query, shape)))


async def _trace_runs(request: Request) -> Response:
    query = trace_runs_query(path_id(request), dict(request.query_params))
    shape = shape_from(request, query_selects(request))
    return answer(await read(request, lambda reader: store.trace_runs(reader, query, shape)))


async def _experiment_runs(request: Request) -> Response:
    dataset_id, body = path_id(request), await body_object(request)
    asked, shape = _asked(dataset_id, body), shape_from(request, body.get("selects"))

    def work(reader: RunReader) -> dict[str, Any]:
        if asked.comparison is not None:
            require_comparative(reader.connection, asked.comparison)
            reader = replace(reader, comparison=asked.comparison)
        examples = ExampleReader(reader.connection, reader.tenant_id, reader.signer)
        return store.experiment_page(examples, reader, asked, shape)

    return answer(await read(request, work))


def _asked(dataset_id: str, body: dict[str, Any]) -> store.ExperimentRuns:
    told = given(body)
    sessions = [uuid_text(one, "experiment_ids") for one in as_list(told.get("experiment_ids"))]
    if not sessions:
        raise HttpError(400, "experiment_ids must be a list of ids, and not empty")
    examples = None
    if "example_ids" in told:
        examples = [uuid_text(one, "example_ids") for one in as_list(told["example_ids"])]
        if len(examples) > 1000:
            raise HttpError(422, "example_ids takes at most 1000 ids")
    key, ascending = _sorted_by(told, sessions)
    return store.ExperimentRuns(
        dataset_id, sessions, examples, filters_of(told.get("filters"), 400),
        optional_uuid(told.get("comparative_experiment_id"), "comparative_experiment_id"), key, ascending,
        page_size(told, 20, 100), store.read_offset(text(told["cursor"], "cursor")) if "cursor" in told else 0,
    )  # fmt: skip


def _sorted_by(told: dict[str, Any], sessions: list[str]) -> tuple[str | None, bool]:
    sort = told.get("sort")
    if sort is None:
        return None, False
    if not isinstance(sort, dict) or len(sessions) != 1:
        raise HttpError(400, "sort must be an object, and needs exactly one experiment")
    order = text(sort.get("order") or "DESC", "sort.order").upper()
    if order not in ("ASC", "DESC"):
        raise HttpError(400, "sort.order must be ASC or DESC")
    return text(sort.get("by"), "sort.by").removeprefix(_SORT), order == "ASC"


routes = [
    Operation(
        "POST /v2/runs/query",
        _query,
        "A page of runs",
        body=f"project_ids:uuid* reference_dataset_id:uuid ids:uuid* is_root:bool has_error:bool run_type:text "
        f"reference_examples:uuid* trace_id:uuid include_subtree_usage:bool {fields.V2}",
        kind="json",
        unserved="ai_search",
        reads=True,
    ),
    Operation("GET /v2/runs/{id}", _one, "One run", query=fields.PROJECT, reads=True),
    Operation("GET /v2/runs/{id}/url", _url, "Its page", query="project_id:uuid! trace_id:uuid!", reads=True),
    Operation(
        "POST /v2/traces/query",
        _traces,
        "A page of traces",
        body=f"project_id:uuid! trace_ids:uuid* {fields.V2}",
        kind="json",
        unserved="ai_search",
        reads=True,
    ),
    Operation(
        "GET /v2/traces/{id}/runs",
        _trace_runs,
        "A trace",
        query=f"{fields.PROJECT} filter:text {fields.WINDOW}",
        reads=True,
    ),
    Operation(
        "POST /v2/datasets/{id}/experiment-runs",
        _experiment_runs,
        "Examples with their runs",
        body="experiment_ids:uuid*! example_ids:uuid* filters:obj comparative_experiment_id:uuid page_size:int "
        "cursor:text selects:text* sort:obj",
        kind="json",
        unserved="ai_search",
        reads=True,
    ),
]
