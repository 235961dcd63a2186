"""Versions, tags and splits of a dataset."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, body_object, path_id, query_page, state
from evalbackend.store import examples_splits, versions
from evalbackend.store.datasets import require_dataset
from evalbackend.wire.values import time_text, uuid_text


async def _list(request: Request) -> Response:
    dataset_id, (limit, offset) = path_id(request), query_page(request)
    search = request.query_params.get("search")

    def read(connection: Any) -> list[dict[str, Any]]:
        require_dataset(connection, dataset_id)
        return versions.list_versions(connection, dataset_id, search, limit, offset)

    return answer(await state(request).store.read(read))


async def _read(request: Request) -> Response:
    dataset_id, params = path_id(request), request.query_params
    when, tag = params.get("as_of"), params.get("tag")
    if (when is None) == (tag is None):
        raise HttpError(422, "exactly one of as_of and tag must be given")
    wanted = time_text(when, "as_of") if when not in (None, versions.LATEST) else when or tag or ""
    return answer(await state(request).store.read(lambda c: versions.read_version(c, dataset_id, wanted)))


async def _diff(request: Request) -> Response:
    dataset_id, params = path_id(request), request.query_params
    before, after = params.get("from_version"), params.get("to_version")
    if before is None or after is None:
        raise HttpError(422, "from_version and to_version must be given")

    def read(connection: Any) -> dict[str, list[str]]:
        require_dataset(connection, dataset_id)
        return versions.diff(connection, dataset_id, before, after)

    return answer(await state(request).store.read(read))


async def _tag(request: Request) -> Response:
    dataset_id, body = path_id(request), await body_object(request)
    tag, told = body.get("tag"), body.get("as_of")
    if not isinstance(tag, str):
        raise HttpError(422, "tag must be a string")
    opened = state(request).store
    when = told
    if told == versions.LATEST:
        when = (await opened.read(lambda c: versions.read_version(c, dataset_id, versions.LATEST)))["as_of"]
    stamp = time_text(when, "as_of")
    return answer(await opened.write(lambda c: versions.set_tag(c, dataset_id, stamp, tag)))


async def _splits(request: Request) -> Response:
    dataset_id, when = path_id(request), request.query_params.get("as_of")
    return answer(await state(request).store.read(lambda c: examples_splits.list_splits(c, dataset_id, when)))


async def _split(request: Request) -> Response:
    dataset_id, body = path_id(request), await body_object(request)
    name, told, remove = body.get("split_name"), body.get("examples"), body.get("remove", False)
    if not isinstance(name, str) or not name:
        raise HttpError(422, "split_name must be a string")
    if not isinstance(told, list) or not isinstance(remove, bool):
        raise HttpError(422, "examples must be a list of ids, and remove true or false")
    ids = [uuid_text(one, "examples") for one in told]
    opened = state(request).store
    await opened.write(lambda c: examples_splits.change_split(c, dataset_id, name, ids, remove))
    return answer(await opened.read(lambda c: examples_splits.list_splits(c, dataset_id, None)))


routes = [
    Operation(
        "GET /datasets/{id}/versions",
        _list,
        "A page of versions",
        query=f"{fields.PAGE} search:text",
        reads=True,
    ),
    Operation(
        "GET /datasets/{id}/versions/diff",
        _diff,
        "What changed",
        query="from_version:text! to_version:text!",
        reads=True,
    ),
    Operation("GET /datasets/{id}/version", _read, "One version", query="as_of:text tag:text", reads=True),
    Operation("PUT /datasets/{id}/tags", _tag, "Tag a version", body="tag:text! as_of:text!", kind="json"),
    Operation("GET /datasets/{id}/splits", _splits, "Names of splits", query="as_of:text", reads=True),
    Operation(
        "PUT /datasets/{id}/splits",
        _split,
        "Put examples into a split",
        body="split_name:text! examples:uuid*! remove:bool",
        kind="json",
    ),
]
