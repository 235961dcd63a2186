"""Sessions: projects and experiments."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import (
    answer,
    body_object,
    path_id,
    query_document,
    query_flag,
    query_ids,
    query_page,
    state,
)
from evalbackend.store import sessions as store
from evalbackend.store.sessions import SessionQuery
from evalbackend.wire.values import time_text


async def _create(request: Request) -> Response:
    body = await body_object(request)
    upsert = bool(query_flag(request, "upsert"))
    session_id = await state(request).store.write(lambda c: store.create_session(c, body, upsert))
    return await _shown(request, session_id, stats=False)


async def _list(request: Request) -> Response:
    query, params = _query(request), request.query_params
    if (name := params.get("name")) is not None:
        query.add("name = ?", name)
    if (free := query_flag(request, "reference_free")) is not None:
        query.add("reference_dataset_id IS NULL" if free else "reference_dataset_id IS NOT NULL")
    if (metadata := query_document(request, "metadata")) is not None:
        query.add("json_contains(json_extract(extra, '$.metadata'), ?)", metadata)
    if (version := params.get("dataset_version")) is not None:
        query.add("json_extract(extra, '$.metadata.dataset_version') = ?", version)
    stats = bool(query_flag(request, "include_stats"))
    opened = state(request).store
    return answer(await opened.read(lambda c: store.list_sessions(c, opened.tenant_id, query, stats)))


def _query(request: Request) -> SessionQuery:
    limit, offset = query_page(request)
    query = SessionQuery(limit=limit, offset=offset)
    query.any_of("id", query_ids(request, "id"))
    query.any_of("reference_dataset_id", query_ids(request, "reference_dataset"))
    query.contains("name", request.query_params.get("name_contains"))
    if (since := request.query_params.get("start_time")) is not None:
        query.add("start_time >= ?", time_text(since, "start_time"))
    return query


async def _read(request: Request) -> Response:
    return await _shown(request, path_id(request), bool(query_flag(request, "include_stats")))


async def _update(request: Request) -> Response:
    session_id, body = path_id(request), await body_object(request)
    await state(request).store.write(lambda c: store.update_session(c, session_id, body))
    return await _shown(request, session_id, stats=False)


async def _delete(request: Request) -> Response:
    session_id = path_id(request)
    await state(request).store.write(lambda c: store.delete_session(c, session_id))
    return answer({"message": "Session deleted"})


async def _shown(request: Request, session_id: str, stats: bool) -> Response:
    opened = state(request).store
    return answer(await opened.read(lambda c: store.read_session(c, opened.tenant_id, session_id, stats)))


routes = [
    Operation(
        "POST /sessions", _create, "Make a session", query="upsert:bool", body=fields.SESSION, kind="json"
    ),
    Operation(
        "GET /sessions",
        _list,
        "A page of sessions",
        query=f"{fields.PAGE} id:uuid* name:text name_contains:text reference_dataset:uuid* reference_free:bool "
        "metadata:text dataset_version:text include_stats:bool start_time:time",
        reads=True,
    ),
    Operation("GET /sessions/{id}", _read, "One session", query="include_stats:bool", reads=True),
    Operation("PATCH /sessions/{id}", _update, "Change a session", body=fields.SESSION, kind="json"),
    Operation("DELETE /sessions/{id}", _delete, "Delete a session with its runs"),
]
