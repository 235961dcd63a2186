"""Online evaluators: made, changed, listed and deleted. Nothing here runs one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evalbackend.errors import HttpError
from evalbackend.http.state import answer, body_object, path_id, query_ids, query_page, state
from evalbackend.store import evaluators as store
from evalbackend.store.sessions import SessionQuery


async def _create(request: Request) -> Response:
    body, opened = await body_object(request), state(request).store
    made = await opened.write(lambda c: store.create_evaluator(c, body))
    shown = await opened.read(lambda c: store.read_evaluator(c, opened.tenant_id, made))
    return answer({"evaluator": shown}, 201)


async def _list(request: Request) -> Response:
    opened, params = state(request).store, request.query_params
    limit, offset = query_page(request)
    query = SessionQuery(limit=limit, offset=offset)
    query.any_of("type", params.getlist("type"))
    query.contains("name", params.get("name_contains"))
    return answer(
        {"evaluators": await opened.read(lambda c: store.list_evaluators(c, opened.tenant_id, query))}
    )


async def _read(request: Request) -> Response:
    evaluator_id, opened = path_id(request), state(request).store
    return answer(await opened.read(lambda c: store.read_evaluator(c, opened.tenant_id, evaluator_id)))


async def _update(request: Request) -> Response:
    evaluator_id, body, opened = path_id(request), await body_object(request), state(request).store
    await opened.write(lambda c: store.update_evaluator(c, evaluator_id, body))
    shown = await opened.read(lambda c: store.read_evaluator(c, opened.tenant_id, evaluator_id))
    return answer({"evaluator": shown})


async def _delete(request: Request) -> Response:
    evaluator_id = path_id(request)
    if not await state(request).store.write(lambda c: store.delete_evaluators(c, [evaluator_id])):
        raise HttpError(404, f"evaluator {evaluator_id} not found")
    return Response(status_code=204)


async def _delete_some(request: Request) -> Response:
    ids = query_ids(request, "evaluator_ids")
    if not ids:
        raise HttpError(422, "evaluator_ids must be given")
    gone = await state(request).store.write(lambda c: store.delete_evaluators(c, ids))
    failed = [{"id": one, "error": "evaluator not found"} for one in ids if one not in gone]
    return answer({"succeeded": gone, "failed": failed})


_PATH = "/platform/evaluators"
routes = [
    Route(_PATH, _create, methods=["POST"]),
    Route(_PATH, _list, methods=["GET"]),
    Route(_PATH, _delete_some, methods=["DELETE"]),
    Route(f"{_PATH}/{{id}}", _read, methods=["GET"]),
    Route(f"{_PATH}/{{id}}", _update, methods=["PATCH"]),
    Route(f"{_PATH}/{{id}}", _delete, methods=["DELETE"]),
]
