"""Share a dataset, and read a shared one: the routes under /public need no key, the token is one."""

from __future__ import annotations

import sqlite3
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, path_id, query_ids, query_page, signer_of, state
from evalbackend.store import dataset_shares as store
from evalbackend.store.datasets import read_dataset
from evalbackend.store.examples_query import ExampleQuery
from evalbackend.store.examples_read import ExampleReader
from evalbackend.store.sessions import SessionQuery, list_sessions


async def _share(request: Request) -> Response:
    dataset_id = path_id(request)
    return answer(await state(request).store.write(lambda c: store.share_dataset(c, dataset_id)))


async def _read(request: Request) -> Response:
    dataset_id = path_id(request)
    return answer(await state(request).store.read(lambda c: store.read_share(c, dataset_id)))


async def _unshare(request: Request) -> Response:
    dataset_id = path_id(request)
    await state(request).store.write(lambda c: store.unshare_dataset(c, dataset_id))
    return answer({"message": "Dataset unshared"})


async def _public_dataset(request: Request) -> Response:
    token, opened = path_id(request, "token"), state(request).store
    return answer(
        await opened.read(lambda c: read_dataset(c, opened.tenant_id, store.shared_dataset(c, token)))
    )


async def _public_examples(request: Request) -> Response:
    token, parts, params = path_id(request, "token"), state(request), request.query_params
    ids, (limit, offset) = query_ids(request, "id"), query_page(request)

    def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        query = ExampleQuery(limit=limit, offset=offset)
        query.among([store.shared_dataset(connection, token)], ids)
        query.as_of(params.get("as_of"))
        query.filter(params.get("filter"))
        query.select(["attachment_urls"], exclude_default=False)
        return ExampleReader(connection, parts.store.tenant_id, signer_of(request)).page(query)

    return answer(await parts.store.read(read))


async def _public_sessions(request: Request) -> Response:
    token, opened, params = path_id(request, "token"), state(request).store, request.query_params
    limit, offset = query_page(request)
    query = SessionQuery(limit=limit, offset=offset)
    query.any_of("id", query_ids(request, "id"))
    query.contains("name", params.get("name_contains"))
    if (name := params.get("name")) is not None:
        query.add("name = ?", name)

    def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        query.add("reference_dataset_id = ?", store.shared_dataset(connection, token))
        return list_sessions(connection, opened.tenant_id, query, True)

    return answer(await opened.read(read))


routes = [
    Operation("PUT /datasets/{id}/share", _share, "Share a dataset", body="dataset_id:uuid", kind="json"),
    Operation("GET /datasets/{id}/share", _read, "Under what a dataset is shared", reads=True),
    Operation("DELETE /datasets/{id}/share", _unshare, "Share a dataset no more"),
    Operation("GET /public/{token}/datasets", _public_dataset, "A shared dataset", reads=True, public=True),
    Operation(
        "GET /public/{token}/datasets/sessions",
        _public_sessions,
        "Its experiments",
        query=fields.PAGE,
        reads=True,
        public=True,
    ),
    Operation(
        "GET /public/{token}/examples",
        _public_examples,
        "Its examples",
        query=f"{fields.PAGE} as_of:text filter:text",
        reads=True,
        public=True,
    ),
]
