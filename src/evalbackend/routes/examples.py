"""Examples, and the bytes of attachments."""

from __future__ import annotations

import sqlite3
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.http import fields
from evalbackend.http.body import read_body
from evalbackend.http.multipart import boundary_of
from evalbackend.http.operation import Operation
from evalbackend.http.state import (
    answer,
    body_json,
    body_object,
    path_id,
    query_document,
    query_flag,
    query_ids,
    query_page,
    signer_of,
    state,
)
from evalbackend.store import examples_write as store
from evalbackend.store.blobs import read_blob
from evalbackend.store.checking import checked
from evalbackend.store.examples_query import ExampleQuery
from evalbackend.store.examples_read import ExampleReader
from evalbackend.store.schemas import Checked
from evalbackend.wire.examples import ExampleWrite, decode_examples, example_write
from evalbackend.wire.values import uuid_text


async def _upload(request: Request) -> Response:
    dataset_id, writes = await _decoded(request)
    kept, opened = await _kept(request, dataset_id, writes), state(request).store
    stamp = await opened.write(lambda c: store.create_examples(c, dataset_id, writes, kept))
    return _written(writes, stamp, 201)


async def _change(request: Request) -> Response:
    dataset_id, writes = await _decoded(request)
    kept, opened = await _kept(request, dataset_id, writes), state(request).store
    stamp = await opened.write(lambda c: store.update_examples(c, dataset_id, writes, kept))
    return _written(writes, stamp, 200)


async def _kept(request: Request, dataset_id: str, writes: list[ExampleWrite]) -> Checked:
    return await checked(state(request).store, ((dataset_id, write) for write in writes))


async def _decoded(request: Request) -> tuple[str, list[ExampleWrite]]:
    boundary = boundary_of(request.headers.get("content-type", ""))
    return path_id(request), decode_examples(await read_body(request), boundary)


def _written(writes: list[ExampleWrite], stamp: str, status: int) -> Response:
    ids = [write.id for write in writes]
    return answer({"count": len(ids), "example_ids": ids, "as_of": stamp}, status)


async def _create(request: Request) -> Response:
    return answer((await _created(request, [await body_object(request)]))[0])


async def _create_bulk(request: Request) -> Response:
    documents = await body_json(request)
    if not isinstance(documents, list) or not all(isinstance(one, dict) for one in documents):
        raise HttpError(422, "the body must be a list of examples")
    return answer(await _created(request, documents))


async def _created(request: Request, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write examples that come as JSON, all or none, and read them back."""
    parts = state(request)
    by_dataset: dict[str, list[ExampleWrite]] = {}
    for document in documents:
        by_dataset.setdefault(uuid_text(document.get("dataset_id"), "dataset_id"), []).append(
            example_write(document)
        )
    kept = await checked(parts.store, ((key, one) for key, some in by_dataset.items() for one in some))
    await parts.store.write(
        lambda c: [store.create_examples(c, key, some, kept) for key, some in by_dataset.items()]
    )
    ids = [write.id for some in by_dataset.values() for write in some]
    return await parts.store.read(lambda c: [_reader(request, c).one(one, None) for one in ids])


def _reader(request: Request, connection: sqlite3.Connection) -> ExampleReader:
    parts = state(request)
    return ExampleReader(connection, parts.store.tenant_id, signer_of(request), parts.bookmarks)


async def _list(request: Request) -> Response:
    params, parts = request.query_params, state(request)
    query = ExampleQuery()
    query.limit, query.offset = query_page(request)
    query.among(query_ids(request, "dataset"), query_ids(request, "id"))
    query.as_of(params.get("as_of"))
    query.splits(params.getlist("splits"))
    if (metadata := query_document(request, "metadata")) is not None:
        query.add("json_contains(metadata, ?)", metadata)
    query.filter(params.get("filter"))
    query.select(params.getlist("select"), bool(query_flag(request, "exclude_default_fields")))
    return answer(await parts.store.read(lambda c: _reader(request, c).page(query)))


async def _read(request: Request) -> Response:
    parts, example_id, when = state(request), path_id(request), request.query_params.get("as_of")
    return answer(await parts.store.read(lambda c: _reader(request, c).one(example_id, when)))


async def _attachment(request: Request) -> Response:
    params, parts, sha = request.query_params, state(request), request.path_params["sha"]
    mime = params.get("mime", "")
    parts.signer.check(sha, mime, params.get("expires", ""), params.get("signature", ""))
    data = await parts.store.read(lambda c: read_blob(c, sha))
    # Never shown as a page of this origin: the bytes are whatever a traced programme attached.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
    safe = mime if mime.isascii() and mime.isprintable() else ""
    return Response(data, headers={**headers, "Content-Type": safe or "application/octet-stream"})


routes = [
    Operation("POST /platform/datasets/{id}/examples", _upload, "Add examples", kind="form", status=201),
    Operation("PATCH /platform/datasets/{id}/examples", _change, "Change examples", kind="form"),
    Operation(
        "POST /examples/bulk", _create_bulk, "Add examples", body=f"id:uuid {fields.EXAMPLE}", kind="list"
    ),
    Operation("POST /examples", _create, "Add an example", body=f"id:uuid {fields.EXAMPLE}", kind="json"),
    Operation(
        "GET /examples",
        _list,
        "A page of examples",
        query=f"{fields.PAGE} dataset:uuid* id:uuid* as_of:text splits:text* metadata:text filter:text select:text* "
        "exclude_default_fields:bool",
        reads=True,
    ),
    Operation("GET /examples/{id}", _read, "One example", query="as_of:text", reads=True),
    Operation(
        "GET /attachments/{sha}",
        _attachment,
        "Bytes",
        query="mime:text expires:text signature:text",
        reads=True,
        public=True,
    ),
]
