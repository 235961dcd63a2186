"""A thread's messages by the first generation of reads, as command line tools ask for them."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.filtering.runs import THREAD_ID
from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, state
from evalbackend.store.threads import Roots, roots_of
from evalbackend.wire.flags import require_older_reads
from evalbackend.wire.v2_query import project_of

_SHOWN = "all_messages"


async def _preview(request: Request) -> Response:
    """Answer `previews.all_messages`: one JSON object per message, an empty line between two.

    So langsmith-fetch reads it (fetchers.py, fetch_thread). Of the other previews nobody has told the form.
    """
    parts = state(request)
    require_older_reads(parts.flags)
    asked = request.query_params.getlist("select") or [_SHOWN]
    if asked != [_SHOWN]:
        raise HttpError(400, f"select must be {_SHOWN}")
    roots = roots_of(project_of(dict(request.query_params), "session_id"))
    roots.add(f"CAST({THREAD_ID} AS TEXT) = ?", request.path_params["id"])
    messages = await parts.store.read(lambda connection: _messages(connection, roots))
    text = "\n\n".join(orjson.dumps(one).decode() for one in messages)
    return answer({"thread_id": request.path_params["id"], "previews": {_SHOWN: text}})


def _messages(connection: sqlite3.Connection, roots: Roots) -> list[Any]:
    """Return what was said in all turns, once each: a turn may repeat those before it, or go on from them."""
    sql = f"SELECT inputs, outputs FROM runs WHERE {' AND '.join(roots.where)} ORDER BY start_time, id"  # noqa: S608  our words and ? only
    turns = connection.execute(sql, roots.args).fetchall()
    if not turns:
        raise HttpError(404, "no such thread in this session")
    said: list[Any] = []
    for inputs, outputs in turns:
        said = _gone_on(said, _gone_on(_spoken(inputs), _spoken(outputs)))
    return said


def _spoken(field: str | None) -> list[Any]:
    told = orjson.loads(field or "null")
    messages = told.get("messages") if isinstance(told, dict) else None
    return messages if isinstance(messages, list) else []


def _gone_on(before: list[Any], after: list[Any]) -> list[Any]:
    return after if after[: len(before)] == before else before + after


routes = [
    Operation(
        "GET /runs/threads/{id:path}",
        _preview,
        "What was said in a thread",
        query="session_id:uuid! select:text*",
        unserved=fields.OLDER,
        reads=True,
    ),
]
