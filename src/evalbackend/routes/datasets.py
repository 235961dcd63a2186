"""Datasets, and the results of experiments over them."""

from __future__ import annotations

import sqlite3
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import (
    answer,
    body_object,
    path_id,
    query_document,
    query_ids,
    query_page,
    signer_of,
    state,
)
from evalbackend.store import datasets as store
from evalbackend.store.comparative import require_comparative
from evalbackend.store.examples_query import ExampleRuns
from evalbackend.store.examples_read import ExampleReader
from evalbackend.store.sessions import SessionQuery
from evalbackend.wire.run_query import filters_of
from evalbackend.wire.values import optional_count, optional_uuid, uuid_text


async def _create(request: Request) -> Response:
    body = await body_object(request)
    return await _shown(request, await state(request).store.write(lambda c: store.create_dataset(c, body)))


async def _list(request: Request) -> Response:
    params = request.query_params
    limit, offset = query_page(request)
    query = SessionQuery(limit=limit, offset=offset)
    query.any_of("id", query_ids(request, "id"))
    query.any_of("data_type", params.getlist("data_type"))
    query.contains("name", params.get("name_contains"))
    if (name := params.get("name")) is not None:
        query.add("name = ?", name)
    if (metadata := query_document(request, "metadata")) is not None:
        query.add("json_contains(metadata, ?)", metadata)
    opened = state(request).store
    return answer(await opened.read(lambda c: store.list_datasets(c, opened.tenant_id, query)))


async def _read(request: Request) -> Response:
    return await _shown(request, path_id(request))


async def _update(request: Request) -> Response:
    dataset_id, body = path_id(request), await body_object(request)
    await state(request).store.write(lambda c: store.update_dataset(c, dataset_id, body))
    return await _shown(request, dataset_id)


async def _delete(request: Request) -> Response:
    dataset_id = path_id(request)
    await state(request).store.write(lambda c: store.delete_dataset(c, dataset_id))
    return answer({"message": "Dataset deleted"})


async def _shown(request: Request, dataset_id: str) -> Response:
    opened = state(request).store
    return answer(await opened.read(lambda c: store.read_dataset(c, opened.tenant_id, dataset_id)))


async def _results(request: Request) -> Response:
    """What get_experiment_results reads: examples with their runs."""
    asked, parts = _asked(path_id(request), await body_object(request)), state(request)
    signer = signer_of(request)

    def read(connection: sqlite3.Connection) -> list[Any]:
        if asked.comparison is not None:
            require_comparative(connection, asked.comparison)
        return ExampleReader(connection, parts.store.tenant_id, signer).with_runs(asked)

    return answer(await parts.store.read(read))


def _asked(dataset_id: str, body: dict[str, Any]) -> ExampleRuns:
    sessions = body.get("session_ids")
    if not isinstance(sessions, list) or not sessions:
        raise HttpError(422, "session_ids must be a list of ids")
    ids = [uuid_text(session, "session_ids") for session in sessions]
    limit = optional_count(body.get("limit"), "limit") or 20
    offset = optional_count(body.get("offset"), "offset") or 0
    if limit > 100:
        raise HttpError(422, "limit must be between 1 and 100")
    comparison = optional_uuid(body.get("comparative_experiment_id"), "comparative_experiment_id")
    filters, preview = filters_of(body.get("filters"), 422), bool(body.get("preview"))
    return ExampleRuns(dataset_id, ids, filters, comparison, limit, offset, preview)


routes = [
    Operation("POST /datasets", _create, "Make a dataset", body=fields.DATASET, kind="json"),
    Operation(
        "GET /datasets",
        _list,
        "A page of datasets",
        query=f"{fields.PAGE} id:uuid* data_type:text* name:text name_contains:text metadata:text",
        reads=True,
    ),
    Operation("GET /datasets/{id}", _read, "One dataset", reads=True),
    Operation("PATCH /datasets/{id}", _update, "Change a dataset", body=fields.DATASET, kind="json"),
    Operation("DELETE /datasets/{id}", _delete, "Delete a dataset with its examples and experiments"),
    Operation(
        "POST /datasets/{id}/runs",
        _results,
        "Examples with their runs",
        body="session_ids:uuid*! filters:obj comparative_experiment_id:uuid limit:int offset:int preview:bool",
        kind="json",
        reads=True,
    ),
]
