"""Feedback: scores and comments on runs and on whole sessions."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, body_object, path_id, query_ids, query_page, state
from evalbackend.store import feedback as store
from evalbackend.wire.feedback import feedback_row
from evalbackend.wire.ingest import Batch

_CHANGEABLE = ("score", "value", "comment", "correction")


async def _create(request: Request) -> Response:
    row, parts = feedback_row(await body_object(request)), state(request)
    batch = Batch(feedback=[row])
    parts.faults.drop_forgotten(request.method, request.scope["path"], batch)
    await parts.store.write(lambda connection: store.upsert_feedback(connection, batch.feedback))
    return answer(orjson.Fragment(row.body))


async def _list(request: Request) -> Response:
    limit, offset = query_page(request)
    runs, sessions = query_ids(request, "run"), query_ids(request, "session")
    keys, sources = request.query_params.getlist("key"), request.query_params.getlist("source")
    level = request.query_params.get("level")
    if level not in (None, "run", "session"):
        raise HttpError(422, f"level is run or session, not {level!r}")
    page = await state(request).store.read(
        lambda connection: store.list_feedback(
            connection,
            runs=runs,
            keys=keys,
            sources=sources,
            sessions=sessions,
            level=level,
            limit=limit,
            offset=offset,
        )
    )
    return answer(page)


async def _read(request: Request) -> Response:
    feedback_id = path_id(request)
    body = await state(request).store.read(lambda connection: store.read_feedback(connection, feedback_id))
    return answer(orjson.Fragment(body))


async def _update(request: Request) -> Response:
    feedback_id, told = path_id(request), await body_object(request)
    change = {name: told[name] for name in _CHANGEABLE if told.get(name) is not None}
    body = await state(request).store.write(lambda c: store.update_feedback(c, feedback_id, change))
    return answer(orjson.Fragment(body))


async def _delete(request: Request) -> Response:
    feedback_id = path_id(request)
    await state(request).store.write(lambda connection: store.delete_feedback(connection, feedback_id))
    return answer({"message": "Feedback deleted"})


routes = [
    Operation("POST /feedback", _create, "Give feedback", body=fields.FEEDBACK, kind="json"),
    Operation(
        "GET /feedback",
        _list,
        "A page of feedback",
        query=f"{fields.PAGE} run:uuid* session:uuid* key:text* source:text* level:text",
        reads=True,
    ),
    Operation("GET /feedback/{id}", _read, "One feedback", reads=True),
    Operation("PATCH /feedback/{id}", _update, "Change feedback", body=fields.USE, kind="json"),
    Operation("DELETE /feedback/{id}", _delete, "Delete feedback"),
]
