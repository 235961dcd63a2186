"""Annotation queues: made, listed, changed, filled from experiments; annotation_runs.py is for the runs in them."""

from __future__ import annotations

import sqlite3

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, body_object, path_id, query_ids, query_page, state
from evalbackend.store import queue_bulk, queues
from evalbackend.store.sessions import SessionQuery
from evalbackend.wire.values import optional_ids, optional_uuid, uuid_text


async def _create(request: Request) -> Response:
    body = await body_object(request)
    sessions = optional_ids(body.get("session_ids"), "session_ids") or []

    def write(connection: sqlite3.Connection) -> str:
        queue_id = queues.create_queue(connection, body)
        queue_bulk.populate(connection, queue_id, sessions, experiments=False)
        return queue_id

    queue_id, opened = await state(request).store.write(write), state(request).store
    made = await opened.read(lambda c: queues.read_queue(c, opened.tenant_id, queue_id))
    return answer(queues.briefly(made))


async def _populate(request: Request) -> Response:
    body = await body_object(request)
    queue_id = uuid_text(body.get("queue_id"), "queue_id")
    sessions = optional_ids(body.get("session_ids"), "session_ids")
    if not sessions:
        raise HttpError(422, "session_ids must be a list of ids, and not empty")
    some = sessions
    await state(request).store.write(lambda c: queue_bulk.populate(c, queue_id, some, experiments=True))
    return answer({"message": "Runs added to the queue"})


async def _list(request: Request) -> Response:
    limit, offset = query_page(request)
    opened, params = state(request).store, request.query_params
    query = SessionQuery(limit=limit, offset=offset)
    query.any_of("id", query_ids(request, "ids"))
    query.contains("name", params.get("name_contains"))
    if (name := params.get("name")) is not None:
        query.add("name = ?", name)
    if (dataset := optional_uuid(params.get("dataset_id"), "dataset_id")) is not None:
        query.add("json_extract(CAST(settings AS TEXT), '$.default_dataset') = ?", dataset)
    if params.get("queue_type", "single") != "single":
        query.add("0")  # pairs of runs are not reviewed here
    return answer(await opened.read(lambda c: queues.list_queues(c, opened.tenant_id, query)))


async def _read(request: Request) -> Response:
    return await _shown(request, path_id(request))


async def _update(request: Request) -> Response:
    queue_id, body = path_id(request), await body_object(request)
    await state(request).store.write(lambda c: queues.update_queue(c, queue_id, body))
    return await _shown(request, queue_id)


async def _delete(request: Request) -> Response:
    queue_id = path_id(request)
    await state(request).store.write(lambda c: queues.delete_queue(c, queue_id))
    return answer({"message": "Annotation queue deleted"})


async def _shown(request: Request, queue_id: str) -> Response:
    opened = state(request).store
    return answer(await opened.read(lambda c: queues.read_queue(c, opened.tenant_id, queue_id)))


routes = [
    Operation("POST /annotation-queues", _create, "Make a queue", body=fields.QUEUE, kind="json"),
    Operation(
        "GET /annotation-queues",
        _list,
        "Queues",
        query=f"{fields.PAGE} ids:uuid* name:text name_contains:text dataset_id:uuid queue_type:text",
        reads=True,
    ),
    Operation(
        "POST /annotation-queues/populate",
        _populate,
        "Add the runs of experiments",
        body="queue_id:uuid! session_ids:uuid*!",
        kind="json",
    ),
    Operation("GET /annotation-queues/{id}", _read, "One queue", reads=True),
    Operation("PATCH /annotation-queues/{id}", _update, "Change a queue", body=fields.QUEUE, kind="json"),
    Operation("DELETE /annotation-queues/{id}", _delete, "Delete a queue"),
]
