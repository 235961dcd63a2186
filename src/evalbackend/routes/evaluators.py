"""Online evaluators: made, changed, listed and deleted. Nothing here runs one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.http import fields
from evalbackend.http.operation import Operation
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


routes = [
    Operation(
        "POST /platform/evaluators",
        _create,
        "Keep an evaluator",
        body=f"type:text! {fields.EVALUATOR}",
        kind="json",
        status=201,
    ),
    Operation(
        "GET /platform/evaluators",
        _list,
        "Evaluators",
        query=f"{fields.PAGE} name_contains:text type:text",
        reads=True,
    ),
    Operation("DELETE /platform/evaluators", _delete_some, "Delete evaluators", query="evaluator_ids:uuid*!"),
    Operation("GET /platform/evaluators/{id}", _read, "One evaluator", reads=True),
    Operation(
        "PATCH /platform/evaluators/{id}", _update, "Change an evaluator", body=fields.EVALUATOR, kind="json"
    ),
    Operation("DELETE /platform/evaluators/{id}", _delete, "Delete an evaluator", status=204),
]
