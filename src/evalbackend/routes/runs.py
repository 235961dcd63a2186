"""Runs: taken in, queried, deleted."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.http import fields
from evalbackend.http.body import aside, read_body
from evalbackend.http.multipart import boundary_of
from evalbackend.http.operation import Operation
from evalbackend.http.state import AppState, answer, body_object, path_id, signer_of, state
from evalbackend.store.delete import delete_traces
from evalbackend.store.runs_late import hold_back, not_received, show
from evalbackend.store.runs_limit import MOST
from evalbackend.store.runs_read import RunReader
from evalbackend.store.runs_stats import runs_stats
from evalbackend.store.runs_write import Written, write_batch
from evalbackend.wire.flags import require_older_reads
from evalbackend.wire.ingest import Batch, Kind, RunOp, completed, decode_multipart, run_op
from evalbackend.wire.run_query import read_query
from evalbackend.wire.values import uuid_text

_INLINE = 256 * 2**10  # larger bodies are decoded off the event loop


async def _multipart(request: Request) -> Response:
    boundary = boundary_of(request.headers.get("content-type", ""))
    body = await read_body(request)
    rule = state(request).faults.strike_body(request.method, request.scope["path"], body)
    if rule is not None:
        raise HttpError(rule.status, "a fault of the plan")
    if len(body) > _INLINE:
        return await _take(request, await aside(decode_multipart, body, boundary))
    return await _take(request, decode_multipart(body, boundary))


async def _batch(request: Request) -> Response:
    body = await body_object(request)
    return await _take(request, Batch(ops=[*_ops(body, "post"), *_ops(body, "patch")]))


def _ops(body: dict[str, Any], kind: Kind) -> list[RunOp]:
    documents = body.get(kind) or []
    if not isinstance(documents, list) or not all(isinstance(one, dict) for one in documents):
        raise HttpError(422, f"{kind} must be a list of runs")
    if kind == "post":
        return [run_op(kind, one["id"], one) for one in map(completed, documents)]
    return [run_op(kind, uuid_text(one.get("id"), "id"), one) for one in documents]


async def _create(request: Request) -> Response:
    """Only a name and a run_type must be told; the answer names the run that was made."""
    body = completed(await body_object(request))
    return await _take(request, Batch(ops=[run_op("post", body["id"], body)]), id=body["id"])


async def _update(request: Request) -> Response:
    return await _take(request, Batch(ops=[run_op("patch", path_id(request), await body_object(request))]))


async def _take(request: Request, batch: Batch, **told: str) -> Response:
    parts = state(request)
    whole = parts.faults.conflict_mode == "batch"
    parts.faults.refuse_outside_window(batch)
    parts.faults.drop_forgotten(request.method, request.scope["path"], batch)
    late = parts.faults.lateness(request.method, request.scope["path"])
    held = [op.run_id for op in batch.ops if op.kind == "post"] if late is not None else []

    def work(connection: sqlite3.Connection) -> Written:
        new = not_received(connection, held)
        written = write_batch(connection, batch, whole, parts.prices)
        hold_back(connection, new)
        return written

    _require_all(await parts.store.write(work))
    if late is not None:
        task = asyncio.create_task(_show_later(parts, held, late))
        parts.tasks.add(task)
        task.add_done_callback(parts.tasks.discard)
    return answer({"message": "Runs accepted", **told}, 202)


def _require_all(written: Written) -> None:
    if written.surplus:
        first = written.surplus[0]
        raise HttpError(
            422,
            f"{len(written.surplus)} run(s) were not kept, the first of them {first.run_id}: "
            f"the trace {first.trace_id} has {MOST:,} runs, and there is no room for more in one trace",
        )
    if not written.fresh:
        raise HttpError(409, "payload already received")


async def _show_later(parts: AppState, runs: list[str], seconds: float) -> None:
    await asyncio.sleep(seconds)
    await parts.store.write(lambda connection: show(connection, runs))


async def _query(request: Request) -> Response:
    parts = state(request)
    require_older_reads(parts.flags)
    query = read_query(await body_object(request))
    return answer(
        await parts.store.read(lambda c: RunReader(c, parts.store.tenant_id, signer_of(request)).page(query)),
    )


async def _stats(request: Request) -> Response:
    parts, query = state(request), read_query(await body_object(request))
    return answer(await parts.store.read(lambda connection: runs_stats(connection, query)))


async def _read(request: Request) -> Response:
    parts, run_id = state(request), path_id(request)
    require_older_reads(parts.flags)
    return answer(
        await parts.store.read(lambda c: RunReader(c, parts.store.tenant_id, signer_of(request)).one(run_id))
    )


async def _delete(request: Request) -> Response:
    body = await body_object(request)
    session_id = uuid_text(body.get("session_id"), "session_id")
    traces = body.get("trace_ids")
    if not isinstance(traces, list) or not 0 < len(traces) <= 1000:
        raise HttpError(422, "trace_ids must be a list of 1 to 1000 ids")
    ids = [uuid_text(trace, "trace_ids") for trace in traces]
    await state(request).store.write(lambda connection: delete_traces(connection, session_id, ids))
    return answer({"message": "Runs deleted"}, 202)


routes = [
    Operation(
        "POST /runs/multipart",
        _multipart,
        "Take in creates, updates, feedback, files",
        kind="form",
        status=202,
    ),
    Operation(
        "POST /runs/batch", _batch, "Take in runs", body="post:list patch:list", kind="json", status=202
    ),
    Operation(
        "POST /runs/query",
        _query,
        "A page of runs",
        body=fields.QUERY,
        kind="json",
        unserved=fields.OLDER,
        reads=True,
    ),
    Operation(
        "POST /runs/stats",
        _stats,
        "Sums over runs",
        body=f"{fields.QUERY} query:text",
        kind="json",
        reads=True,
    ),
    Operation(
        "POST /runs/delete",
        _delete,
        "Delete traces",
        body="session_id:uuid! trace_ids:uuid*!",
        kind="json",
        status=202,
    ),
    Operation(
        "POST /runs", _create, "Take in a create", body=f"id:uuid {fields.RUN}", kind="json", status=202
    ),
    Operation("GET /runs/{id}", _read, "One run", unserved=fields.OLDER, reads=True),
    Operation("PATCH /runs/{id}", _update, "Take in an update", body=fields.RUN, kind="json", status=202),
]
