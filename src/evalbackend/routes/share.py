"""Shared runs: tokens given and taken, and what is read with one, in both generations."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from evalbackend.errors import HttpError
from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import NOWHERE, answer, body_object, path_id, query_ids, signer_of, state
from evalbackend.routes.v2_runs import query_selects, read, shape_from
from evalbackend.store import run_shares as store
from evalbackend.store.functions import marks
from evalbackend.store.runs_read import RunReader
from evalbackend.store.v2_read import trace_runs
from evalbackend.wire.run_query import RunQuery, add_ids, as_list, start_after
from evalbackend.wire.v2_query import text
from evalbackend.wire.values import optional_uuid, time_text, uuid_text

T = TypeVar("T")


async def _share(request: Request) -> Response:
    run_id, body = path_id(request), await body_object(request)
    token = optional_uuid(body.get("share_token"), "share_token")
    return answer(await state(request).store.write(lambda c: store.share_run(c, run_id, token)))


async def _shared(request: Request) -> Response:
    run_id = path_id(request)
    token = await state(request).store.read(lambda c: store.shared_under(c, run_id))
    return answer(None if token is None else {"run_id": run_id, "share_token": token})


async def _unshare(request: Request) -> Response:
    run_id = path_id(request)
    await state(request).store.write(lambda c: store.unshare_run(c, run_id))
    return answer({"message": "Run unshared"})


async def _share_trace(request: Request) -> Response:
    path_id(request)  # a child shares its trace's root
    body = await body_object(request)
    trace, session = (
        uuid_text(body.get("trace_id"), "trace_id"),
        uuid_text(body.get("session_id"), "session_id"),
    )
    return answer(await state(request).store.write(lambda c: store.share_trace(c, trace, session)))


async def _unshare_trace(request: Request) -> Response:
    trace_id = path_id(request)
    await state(request).store.write(lambda c: store.unshare_run(c, trace_id))
    return Response(status_code=204)


async def _public_run(request: Request) -> Response:
    token = path_id(request, "token")
    wanted = path_id(request) if "id" in request.path_params else None

    def work(reader: RunReader) -> dict[str, Any]:
        root, trace = store.shared_run(reader.connection, token)
        return _of_trace(reader.one(wanted or root), trace)

    return answer(await _read(request, work))


async def _public_page(request: Request) -> Response:
    """The address that the SDK makes of a share token: to the run's page, by way of the sign-in."""
    token = path_id(request, "token")
    root, _ = await state(request).store.read(lambda c: store.shared_run(c, token))
    return RedirectResponse(f"/login?next=/ui/runs/{root}", 303)


async def _read(request: Request, work: Callable[[RunReader], T]) -> T:
    opened, signer = state(request).store, signer_of(request)
    return await opened.read(lambda c: work(RunReader(c, opened.tenant_id, signer)))


async def _public_runs(request: Request) -> Response:
    """A page of the trace that is shared."""
    token, body = path_id(request, "token"), await body_object(request)
    ids = [uuid_text(one, "id") for one in as_list(body.get("id"))]
    cursor = None if body.get("cursor") is None else text(body["cursor"], "cursor")

    def work(reader: RunReader) -> dict[str, Any]:
        query = _of_shared(reader.connection, token, ids)
        if cursor is not None:
            start_after(query, cursor)
        return reader.page(query)

    return answer(await _read(request, work))


async def _public_list(request: Request) -> Response:
    """The runs of the trace that is shared, or those of them that `id` names; not a page, but all of them."""
    return await _listed(request, query_ids(request, "id"))


async def _public_list_without_mark(request: Request) -> Response:
    """The same, as the SDK of JavaScript asks it (listSharedRuns of 0.12): it leaves out the question mark."""
    told = parse_qs(request.path_params["query"])
    if "share_token" not in told:
        raise HttpError(404, NOWHERE)
    return await _listed(request, [uuid_text(one, "id") for one in told.get("id", [])])


async def _listed(request: Request, ids: list[str]) -> Response:
    token = path_id(request, "token")

    def work(reader: RunReader) -> list[dict[str, Any]]:
        query = _of_shared(reader.connection, token, ids)
        return reader.select(f"WHERE {' AND '.join(query.where)} ORDER BY start_time, id", query.args, None)

    return answer(await _read(request, work))


def _of_shared(connection: sqlite3.Connection, token: str, ids: list[str]) -> RunQuery:
    query = RunQuery(ascending=True)
    add_ids(query, "trace_id", [store.shared_run(connection, token)[1]])
    if ids:
        query.add(f"id IN ({marks(ids)})", *ids)
    return query


async def _public_run_v2(request: Request) -> Response:
    token, run_id = path_id(request, "token"), path_id(request)
    shape, start = shape_from(request, query_selects(request)), request.query_params.get("start_time")
    since = None if start is None else time_text(start, "start_time")

    def work(reader: RunReader) -> dict[str, Any]:
        _, trace = store.shared_run(reader.connection, token)
        tail, args = "WHERE id = ? AND trace_id = ? AND post_n > 0", [run_id, trace]
        runs = reader.select(tail, args, shape.fields)
        if not runs or since not in (None, runs[0]["start_time"]):
            raise HttpError(404, f"run {run_id} is not part of what is shared")
        return shape.shown(runs[0])

    return answer(await read(request, work))


async def _public_runs_v2(request: Request) -> Response:
    token, body = path_id(request, "token"), await body_object(request)
    shape = shape_from(request, body.get("selects"))

    def work(reader: RunReader) -> dict[str, Any]:
        query = RunQuery(ascending=True)
        add_ids(query, "trace_id", [store.shared_run(reader.connection, token)[1]])
        return trace_runs(reader, query, shape)

    return answer(await read(request, work))


def _of_trace(run: dict[str, Any], trace_id: str) -> dict[str, Any]:
    if run["trace_id"] != trace_id:
        raise HttpError(404, f"run {run['id']} is not part of what is shared")
    return run


routes = [
    Operation(
        "PUT /runs/{id}/share", _share, "Share a run", body="run_id:uuid share_token:uuid", kind="json"
    ),
    Operation("GET /runs/{id}/share", _shared, "Under what a run is shared", reads=True),
    Operation("DELETE /runs/{id}/share", _unshare, "Share a run no more"),
    Operation("GET /public/{token}/r", _public_page, "To the page of a shared run", reads=True, public=True),
    Operation("GET /public/{token}/run", _public_run, "A shared run", reads=True, public=True),
    Operation(
        "GET /public/{token}/run/{id}", _public_run, "A run of a shared trace", reads=True, public=True
    ),
    Operation(
        "GET /public/{token}/runs",
        _public_list,
        "Runs of a shared trace",
        query="id:uuid*",
        reads=True,
        public=True,
    ),
    Operation(
        "GET /public/{token}/runs{query}",
        _public_list_without_mark,
        "The same, from a client that leaves out the question mark",
        reads=True,
        public=True,
    ),
    Operation(
        "POST /public/{token}/runs/query",
        _public_runs,
        "Runs of a shared trace",
        body=fields.QUERY,
        kind="json",
        reads=True,
        public=True,
    ),
    Operation(
        "POST /v2/runs/{id}/share",
        _share_trace,
        "Share a trace",
        body="trace_id:uuid! session_id:uuid!",
        kind="json",
    ),
    Operation(
        "DELETE /v2/runs/{id}/share",
        _unshare_trace,
        "Share a trace no more",
        query="trace_id:uuid session_id:uuid",
    ),
    Operation(
        "GET /v2/public/{token}/run/{id}",
        _public_run_v2,
        "A shared run",
        query="selects:text*",
        reads=True,
        public=True,
    ),
    Operation(
        "POST /v2/public/{token}/runs/query",
        _public_runs_v2,
        "Shared runs",
        body=fields.V2,
        kind="json",
        unserved="ai_search",
        reads=True,
        public=True,
    ),
]
