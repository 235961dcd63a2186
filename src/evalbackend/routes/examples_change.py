"""Change and delete examples: by JSON, by upsert, softly and for good."""

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
from evalbackend.http.state import answer, body_json, body_object, path_id, query_ids, state
from evalbackend.store import examples_delete
from evalbackend.store.checking import checked
from evalbackend.store.examples_write import dataset_of, update_examples, upsert_examples
from evalbackend.wire.examples import ExampleWrite, decode_examples, example_write
from evalbackend.wire.values import optional_uuid, uuid_text


async def _update(request: Request) -> Response:
    example_id, document = path_id(request), await body_object(request)
    changed = await _updated(request, [{**document, "id": example_id}])
    return answer({"message": f"Example {example_id} updated", **changed})


async def _update_bulk(request: Request) -> Response:
    documents = await body_json(request)
    if not isinstance(documents, list) or not all(isinstance(one, dict) for one in documents):
        raise HttpError(422, "the body must be a list of examples")
    changed = await _updated(request, documents)
    return answer({"message": f"{len(documents)} examples updated", **changed})


async def _updated(request: Request, documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Change examples that come as JSON, all or none."""
    told = [
        (
            optional_uuid(document.get("dataset_id"), "dataset_id"),
            example_write(document, uuid_text(document.get("id"), "id")),
        )
        for document in documents
    ]

    kept = await checked(state(request).store, told)

    def write(connection: sqlite3.Connection) -> str | None:
        grouped: dict[str, list[ExampleWrite]] = {}
        for dataset_id, one in told:
            grouped.setdefault(dataset_id or dataset_of(connection, one.id), []).append(one)
        return max(
            (update_examples(connection, key, some, kept) for key, some in grouped.items()), default=None
        )

    stamp = await state(request).store.write(write)
    ids = [one.id for _, one in told]
    return {"count": len(ids), "example_ids": ids, "as_of": stamp}


async def _upsert(request: Request) -> Response:
    boundary = boundary_of(request.headers.get("content-type", ""))
    writes = decode_examples(await read_body(request), boundary)
    grouped: dict[str, list[ExampleWrite]] = {}
    for one in writes:
        if one.dataset_id is None:
            raise HttpError(422, f"example {one.id} has no dataset_id")
        grouped.setdefault(one.dataset_id, []).append(one)
    kept = await checked(state(request).store, ((one.dataset_id, one) for one in writes))
    stamp = await state(request).store.write(
        lambda c: max((upsert_examples(c, key, some, kept) for key, some in grouped.items()), default=None)
    )
    ids = [one.id for one in writes]
    return answer({"count": len(ids), "example_ids": ids, "as_of": stamp}, 201)


async def _delete(request: Request) -> Response:
    example_id = path_id(request)
    await state(request).store.write(lambda c: examples_delete.end_examples(c, [example_id]))
    return answer({"message": "Example deleted"})


async def _delete_from(request: Request) -> Response:
    dataset_id, example_id = path_id(request), path_id(request, "example")

    def write(connection: sqlite3.Connection) -> None:
        if dataset_of(connection, example_id) != dataset_id:
            raise HttpError(404, f"example {example_id} is not in dataset {dataset_id}")
        examples_delete.end_examples(connection, [example_id])

    await state(request).store.write(write)
    return Response(status_code=204)


async def _delete_some(request: Request) -> Response:
    ids = query_ids(request, "example_ids")
    if not ids:
        raise HttpError(422, "example_ids must be given")
    await state(request).store.write(lambda c: examples_delete.end_examples(c, ids))
    return answer({"message": f"{len(ids)} examples deleted"})


async def _delete_hard(request: Request) -> Response:
    body = await body_object(request)
    told, hard = body.get("example_ids"), body.get("hard_delete", False)
    if not isinstance(told, list) or not told or not isinstance(hard, bool):
        raise HttpError(422, "example_ids must be a list of ids, and hard_delete true or false")
    ids = [uuid_text(one, "example_ids") for one in told]
    delete = examples_delete.erase_examples if hard else examples_delete.end_examples
    await state(request).store.write(lambda c: delete(c, ids))
    return answer({"count": len(ids), "example_ids": ids})


routes = [
    Operation(
        "POST /platform/datasets/examples/delete",
        _delete_hard,
        "Delete examples",
        body="example_ids:uuid*! hard_delete:bool",
        kind="json",
    ),
    Operation(
        "DELETE /platform/datasets/{id}/examples/{example}", _delete_from, "Delete an example", status=204
    ),
    Operation(
        "POST /platform/examples/multipart", _upsert, "Add or change examples", kind="form", status=201
    ),
    Operation(
        "PATCH /examples/bulk",
        _update_bulk,
        "Change examples",
        body=f"id:uuid! {fields.EXAMPLE}",
        kind="list",
    ),
    Operation("DELETE /examples", _delete_some, "Delete examples", query="example_ids:uuid*!"),
    Operation("PATCH /examples/{id}", _update, "Change an example", body=fields.EXAMPLE, kind="json"),
    Operation("DELETE /examples/{id}", _delete, "Delete an example"),
]
