"""Comparative experiments."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, body_object, path_id, query_ids, query_page, state
from evalbackend.store import comparative as store


async def _create(request: Request) -> Response:
    body = await body_object(request)
    return await _shown(
        request, await state(request).store.write(lambda c: store.create_comparative(c, body))
    )


async def _list(request: Request) -> Response:
    dataset_id, opened, params = path_id(request), state(request).store, request.query_params
    (limit, offset), ids = query_page(request), query_ids(request, "id")
    page = await opened.read(
        lambda c: store.list_comparative(
            c,
            opened.tenant_id,
            dataset_id,
            name=params.get("name"),
            name_contains=params.get("name_contains"),
            ids=ids,
            limit=limit,
            offset=offset,
        )
    )
    return answer(page)


async def _read(request: Request) -> Response:
    return await _shown(request, path_id(request))


async def _delete(request: Request) -> Response:
    comparative_id = path_id(request)
    await state(request).store.write(lambda c: store.delete_comparative(c, comparative_id))
    return answer({"message": "Comparative experiment deleted"})


async def _shown(request: Request, comparative_id: str) -> Response:
    opened = state(request).store
    return answer(await opened.read(lambda c: store.read_comparative(c, opened.tenant_id, comparative_id)))


routes = [
    Operation(
        "POST /datasets/comparative",
        _create,
        "Compare experiments",
        body="id:uuid experiment_ids:uuid*! reference_dataset_id:uuid! name:text description:text extra:obj "
        "created_at:time modified_at:time",
        kind="json",
    ),
    Operation("GET /datasets/comparative/{id}", _read, "One comparison", reads=True),
    Operation("DELETE /datasets/comparative/{id}", _delete, "Delete a comparison"),
    Operation(
        "GET /datasets/{id}/comparative",
        _list,
        "Comparisons",
        query=f"{fields.PAGE} id:uuid* name:text name_contains:text",
        reads=True,
    ),
]
