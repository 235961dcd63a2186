"""Configurations of feedback keys."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, body_object, query_page, state
from evalbackend.store import feedback_configs as store


async def _create(request: Request) -> Response:
    body = await body_object(request)
    return await _shown(request, await state(request).store.write(lambda c: store.create_config(c, body)))


async def _update(request: Request) -> Response:
    body, opened = await body_object(request), state(request).store
    return await _shown(request, await opened.write(lambda c: store.update_config(c, opened.tenant_id, body)))


async def _list(request: Request) -> Response:
    opened, params = state(request).store, request.query_params
    limit, offset = query_page(request)
    keys, part = params.getlist("key"), params.get("name_contains")
    return answer(
        await opened.read(lambda c: store.list_configs(c, opened.tenant_id, keys, part, limit, offset))
    )


async def _delete(request: Request) -> Response:
    opened, config_id = state(request).store, request.query_params.get("id")
    if config_id is not None:
        key = await opened.read(lambda c: store.key_of(c, opened.tenant_id, config_id))
    else:
        key = store.config_key(request.query_params.get("feedback_key"))
    await opened.write(lambda c: store.delete_config(c, key))
    return Response(status_code=204)


async def _shown(request: Request, key: str) -> Response:
    opened = state(request).store
    return answer(await opened.read(lambda c: store.read_config(c, opened.tenant_id, key)))


routes = [
    Operation("POST /feedback-configs", _create, "Configure a key", body=fields.CONFIG, kind="json"),
    Operation(
        "GET /feedback-configs",
        _list,
        "Configurations",
        query=f"{fields.PAGE} key:text* name_contains:text",
        reads=True,
    ),
    Operation(
        "PATCH /feedback-configs",
        _update,
        "Configure it otherwise",
        body=f"{fields.CONFIG} id:uuid add_categories:obj* remove_categories:obj*",
        kind="json",
    ),
    Operation(
        "DELETE /feedback-configs", _delete, "Forget one", query="feedback_key:text id:uuid", status=204
    ),
]
