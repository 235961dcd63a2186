"""The items of annotation queues: runs and threads (the newer routes)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, body_object, path_id, state
from evalbackend.store import queue_items as store
from evalbackend.store.queue_runs import set_status
from evalbackend.wire.v2_query import page_size
from evalbackend.wire.values import optional_text, optional_time, optional_uuid, uuid_text


async def _add(request: Request) -> Response:
    queue_id, told = path_id(request), (await body_object(request)).get("items")
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise HttpError(422, "items must be a list of objects")
    items = [_item(one) for one in told]
    return answer({"items": await state(request).store.write(lambda c: store.add_items(c, queue_id, items))})


def _item(told: dict[str, Any]) -> store.NewItem:
    kind, proposed = told.get("item_type") or "RUN", told.get("source_proposed_example_id")
    known = optional_uuid(proposed, "source_proposed_example_id")
    if kind == "RUN":
        return store.NewItem(run_id=uuid_text(told.get("run_id"), "run_id"), proposed=known)
    thread = optional_text(told.get("thread_id"), "thread_id")
    if kind != "THREAD" or not thread:
        raise HttpError(422, "item_type must be RUN, or THREAD with a thread_id and a project_id")
    project = told.get("project_id") or told.get("session_id")
    return store.NewItem(thread_id=thread, project_id=uuid_text(project, "project_id"), proposed=known)


async def _list(request: Request) -> Response:
    told = dict(request.query_params)
    status, direction = told.get("status", ""), told.get("direction", "forward")
    if status not in store.SECTIONS:
        raise HttpError(422, f"status must be one of {', '.join(store.SECTIONS)}")
    if direction not in ("forward", "backward") or (direction == "backward" and "cursor" not in told):
        raise HttpError(422, "direction must be forward or backward; backward needs a cursor")
    told = {name: value for name, value in told.items() if name not in ("start_time", "end_time")}
    query = store.item_query(path_id(request), status, told)
    query.limit, query.cursor, query.backward = (
        page_size(told, 20, 100),
        told.get("cursor"),
        direction == "backward",
    )
    return answer(await state(request).store.read(lambda c: store.list_items(c, query)))


async def _count(request: Request) -> Response:
    told = dict(request.query_params)
    query = store.item_query(path_id(request), told.get("status", ""), told)
    return answer(await state(request).store.read(lambda c: store.count_items(c, query)))


async def _placement(request: Request) -> Response:
    queue_id, item_id = path_id(request), path_id(request, "item")
    return answer(await state(request).store.read(lambda c: store.placement(c, queue_id, item_id)))


async def _update(request: Request) -> Response:
    queue_id, item_id, body = path_id(request), path_id(request, "item"), await body_object(request)
    return answer(await state(request).store.write(lambda c: store.update_item(c, queue_id, item_id, body)))


async def _delete(request: Request) -> Response:
    queue_id, told = path_id(request), (await body_object(request)).get("item_ids")
    if not isinstance(told, list):
        raise HttpError(422, "item_ids must be a list of ids")
    ids = [uuid_text(one, "item_ids") for one in told]
    await state(request).store.write(lambda c: store.delete_items(c, queue_id, ids))
    return answer({"message": "Items removed from the queue"})


async def _status(request: Request) -> Response:
    item_id, body = path_id(request), await body_object(request)
    status = body.get("status")
    if status not in (None, "viewed", "completed"):
        raise HttpError(422, "status must be viewed, completed or null")
    added = optional_time(body.get("override_added_at"), "override_added_at")
    await state(request).store.write(lambda c: set_status(c, item_id, body))
    told = {"queue_item_id": item_id, "status": status, "override_added_at": added}
    return answer({**told, "is_archived": status == "completed"})


routes = [
    Operation(
        "POST /platform/annotation-queues/items/{id}/status",
        _status,
        "Reviewed or not",
        body="status:text override_added_at:time",
        kind="json",
    ),
    Operation(
        "POST /platform/annotation-queues/{id}/items",
        _add,
        "Add runs and threads",
        body="items:list!",
        kind="json",
    ),
    Operation(
        "GET /platform/annotation-queues/{id}/items",
        _list,
        "A page of items",
        query=f"status:text! item_type:text direction:text {fields.WINDOW} cursor:text page_size:int",
        reads=True,
    ),
    Operation(
        "GET /platform/annotation-queues/{id}/items/count",
        _count,
        "How many",
        query=f"status:text! {fields.WINDOW} start_time:time end_time:time",
        reads=True,
    ),
    Operation(
        "POST /platform/annotation-queues/{id}/items/delete",
        _delete,
        "Take items out",
        body="item_ids:uuid*!",
        kind="json",
    ),
    Operation(
        "PATCH /platform/annotation-queues/{id}/items/{item}",
        _update,
        "Move an item",
        body="last_reviewed_time:time added_at:time",
        kind="json",
    ),
    Operation(
        "GET /platform/annotation-queues/{id}/items/{item}/placement",
        _placement,
        "Where an item stands",
        reads=True,
    ),
]
