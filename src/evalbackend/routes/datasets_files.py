"""A dataset from a CSV file, and a dataset as a file of chats for fine-tuning."""

from __future__ import annotations

import sqlite3

import orjson
from starlette.requests import Request
from starlette.responses import Response

from evalbackend.http.body import read_body
from evalbackend.http.multipart import boundary_of
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, path_id, state
from evalbackend.store.datasets import create_dataset, read_dataset, require_dataset
from evalbackend.store.examples_write import create_examples
from evalbackend.wire.csv_form import decode_form, examples
from evalbackend.wire.finetune import chat


async def _upload(request: Request) -> Response:
    form = decode_form(await read_body(request), boundary_of(request.headers.get("content-type", "")))
    writes, opened = examples(form), state(request).store

    def write(connection: sqlite3.Connection) -> str:
        dataset_id = create_dataset(connection, form.dataset())
        create_examples(connection, dataset_id, writes)
        return dataset_id

    made = await opened.write(write)
    return answer(await opened.read(lambda c: read_dataset(c, opened.tenant_id, made)))


async def _openai(request: Request) -> Response:
    dataset_id = path_id(request)

    def read(connection: sqlite3.Connection) -> list[bytes]:
        require_dataset(connection, dataset_id)
        rows = connection.execute(
            "SELECT inputs, outputs FROM example_versions WHERE dataset_id = ? AND valid_to IS NULL "
            "ORDER BY created_at, example_id",
            (dataset_id,),
        )
        return [
            orjson.dumps(chat(orjson.loads(inputs), orjson.loads(outputs or b"{}")))
            for inputs, outputs in rows
        ]

    lines = await state(request).store.read(read)
    return Response(b"\n".join(lines), media_type="application/jsonl")


routes = [
    Operation("POST /datasets/upload", _upload, "A dataset from a CSV file", kind="form"),
    Operation("GET /datasets/{id}/openai_ft", _openai, "A dataset as chats", reads=True),
]
