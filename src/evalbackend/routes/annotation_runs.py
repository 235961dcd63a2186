"""The runs in annotation queues: put in, counted, looked at, reviewed, taken out."""

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
    body_json,
    body_object,
    path_id,
    query_flag,
    query_page,
    signer_of,
    state,
)
from evalbackend.store import queue_bulk, queue_runs, queues
from evalbackend.store.runs_read import RunReader
from evalbackend.wire.values import optional_ids, optional_uuid, uuid_text


async def _add(request: Request) -> Response:
    """Runs come as a list of ids or of objects; the further keys of an object only help to find the run."""
    queue_id, told = path_id(request), await body_json(request)
    if not isinstance(told, list):
        raise HttpError(422, "the body must be a list of runs")
    runs = [_added(one) for one in told]
    return answer(await state(request).store.write(lambda c: queue_runs.add_runs(c, queue_id, runs)))


def _added(told: Any) -> queue_runs.Added:
    if not isinstance(told, dict):
        return queue_runs.Added(uuid_text(told, "run_id"))
    proposed = optional_uuid(told.get("source_proposed_example_id"), "source_proposed_example_id")
    return queue_runs.Added(uuid_text(told.get("run_id"), "run_id"), proposed)


async def _remove_some(request: Request) -> Response:
    queue_id, body = path_id(request), await body_object(request)
    runs = optional_ids(body.get("run_ids"), "run_ids")
    spared = optional_ids(body.get("exclude_run_ids"), "exclude_run_ids") or []
    everything = body.get("delete_all", False)
    if not isinstance(everything, bool) or everything == bool(runs):
        raise HttpError(422, "either run_ids, or delete_all as true, must be given")
    await state(request).store.write(
        lambda c: queue_bulk.remove_runs(c, queue_id, None if everything else runs, spared)
    )
    return answer({"message": "Runs removed from the queue"})


async def _runs(request: Request) -> Response:
    limit, offset = query_page(request)
    status, archived = request.query_params.get("status"), query_flag(request, "archived")
    if status is None and archived is not None:
        status = "completed" if archived else "needs_my_review"
    return answer(await _page(request, status, limit, offset))


async def _run(request: Request) -> Response:
    """The run at a place among those that wait for a review, counted from 0."""
    found = await _page(request, "needs_my_review", 1, request.path_params["index"])
    if not found:
        raise HttpError(404, "the queue has no run at this index")
    return answer(found[0])


async def _page(request: Request, status: str | None, limit: int, offset: int) -> list[dict[str, Any]]:
    queue_id, parts = path_id(request), state(request)

    def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        reader = RunReader(connection, parts.store.tenant_id, signer_of(request))
        return queue_runs.page(connection, reader, queue_id, status, limit, offset)

    return await parts.store.read(read)


async def _size(request: Request) -> Response:
    return await _counted(request, request.query_params.get("status", "needs_my_review"))


async def _total(request: Request) -> Response:
    return await _counted(request, None)


async def _archived(request: Request) -> Response:
    return await _counted(request, "completed")


async def _counted(request: Request, status: str | None) -> Response:
    queue_id = path_id(request)
    return answer(await state(request).store.read(lambda c: queue_runs.count(c, queue_id, status)))


async def _remove(request: Request) -> Response:
    queue_id, which = path_id(request), path_id(request, "run")
    await state(request).store.write(lambda c: queue_runs.remove_run(c, queue_id, which))
    return answer({"message": "Run removed from the queue"})


async def _move(request: Request) -> Response:
    queue_id, which, body = path_id(request), path_id(request, "run"), await body_object(request)
    await state(request).store.write(lambda c: queue_runs.move_run(c, queue_id, which, body))
    return answer({"message": "Run updated"})


async def _status(request: Request) -> Response:
    place, body = path_id(request), await body_object(request)
    await state(request).store.write(lambda c: queue_runs.set_status(c, place, body))
    return answer({"message": "Status updated"})


async def _of_run(request: Request) -> Response:
    run_id, opened = path_id(request), state(request).store
    return answer(await opened.read(lambda c: queues.queues_of_run(c, opened.tenant_id, run_id)))


async def _export(request: Request) -> Response:
    queue_id, body, parts = path_id(request), await body_object(request), state(request)
    runs = await parts.store.read(
        lambda c: queue_bulk.export(RunReader(c, parts.store.tenant_id, signer_of(request)), queue_id, body)
    )
    return answer(runs)


routes = [
    Operation(
        "POST /annotation-queues/status/{id}",
        _status,
        "Reviewed or not",
        body="status:text override_added_at:time",
        kind="json",
    ),
    Operation("GET /annotation-queues/{id}/size", _size, "How many wait", query="status:text", reads=True),
    Operation("GET /annotation-queues/{id}/total_size", _total, "How many there are", reads=True),
    Operation("GET /annotation-queues/{id}/total_archived", _archived, "How many are done", reads=True),
    Operation("POST /annotation-queues/{id}/runs", _add, "Add runs", body="run_id:uuid!", kind="list"),
    Operation("POST /annotation-queues/{id}/runs/by-key", _add, "Add runs", body="run_id:uuid!", kind="list"),
    Operation(
        "POST /annotation-queues/{id}/runs/delete",
        _remove_some,
        "Take runs out",
        body="run_ids:uuid* delete_all:bool exclude_run_ids:uuid*",
        kind="json",
    ),
    Operation(
        "GET /annotation-queues/{id}/runs",
        _runs,
        "Runs of a queue",
        query=f"{fields.PAGE} status:text archived:bool",
        reads=True,
    ),
    Operation(
        "POST /annotation-queues/{id}/export",
        _export,
        "What was reviewed, with feedback",
        body="start_time:time end_time:time include_annotator_detail:bool",
        kind="json",
        reads=True,
    ),
    Operation("GET /annotation-queues/{id}/queues", _of_run, "Queues of a run", reads=True),
    Operation("DELETE /annotation-queues/{id}/runs/{run}", _remove, "Take a run out"),
    Operation(
        "PATCH /annotation-queues/{id}/runs/{run}",
        _move,
        "Move a run",
        body="last_reviewed_time:time added_at:time",
        kind="json",
    ),
    Operation("GET /annotation-queues/{id}/run/{index:int}", _run, "The run at a place", reads=True),
]
