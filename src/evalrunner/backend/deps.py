"""What every endpoint needs, and how it answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from evalrunner.backend.body import read_body
from evalrunner.backend.errors import HttpError
from evalrunner.backend.faults import FaultPlan
from evalrunner.backend.presign import Signer
from evalrunner.backend.store.base import OpenStore
from evalrunner.backend.wire import json_object, load_json, uuid_text


@dataclass(slots=True)
class Deps:
    """The open store, the signer of addresses, the plan of faults now in force, and the flags of /info."""

    store: OpenStore
    signer: Signer
    faults: FaultPlan
    flags: dict[str, bool]
    tasks: set[asyncio.Task[None]] = field(default_factory=set)  # what is to happen later


def deps(request: Request) -> Deps:
    """Return the application's parts."""
    found: Deps = request.app.state.deps
    return found


def answer(value: Any, status: int = 200) -> Response:
    """Return `value` as JSON."""
    return Response(orjson.dumps(value), status, media_type="application/json")


def answer_page(request: Request, page: dict[str, Any]) -> Response:
    """Return a page of a query as JSON; as a stream of one event to a client that accepts a stream.

    The SDK's `streaming` calls read patches of a page, and take anything else for an empty one.
    """
    if "text/event-stream" not in request.headers.get("accept", ""):
        return answer(page)
    whole = orjson.dumps([{"op": "add", "path": "", "value": page}])
    return Response(b"event: data\ndata: " + whole + b"\n\n", media_type="text/event-stream")


async def body_object(request: Request) -> dict[str, Any]:
    """Return the request's JSON object; 422 if it is none."""
    return json_object(await read_body(request), "the body")


async def body_json(request: Request) -> Any:
    """Return the request's JSON; 422 if it is none."""
    return load_json(await read_body(request), "the body")


def path_id(request: Request, name: str = "id") -> str:
    """Return a UUID of the path."""
    return uuid_text(request.path_params[name], name)


def query_ids(request: Request, name: str) -> list[str]:
    """Return the UUIDs of a repeated query parameter."""
    return [uuid_text(value, name) for value in request.query_params.getlist(name)]


def query_flag(request: Request, name: str) -> bool | None:
    """Return a boolean of the query string (SDKs write True, true or 1), None if it is not there."""
    value = request.query_params.get(name)
    if value is None:
        return None
    if value.lower() in ("true", "1"):
        return True
    if value.lower() in ("false", "0"):
        return False
    raise HttpError(422, f"{name} must be true or false")


def query_page(request: Request) -> tuple[int, int]:
    """Return (limit, offset); 422 unless 1 <= limit <= 100 and offset >= 0."""
    limit, offset = (_number(request, name, default) for name, default in (("limit", 100), ("offset", 0)))
    if not 1 <= limit <= 100:
        raise HttpError(422, "limit must be between 1 and 100")
    return limit, offset


def query_document(request: Request, name: str) -> str | None:
    """Return a query parameter that must hold a JSON object, as text."""
    value = request.query_params.get(name)
    if value is not None:
        json_object(value.encode(), name)
    return value


def _number(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise HttpError(422, f"{name} must be a non-negative integer")
    return int(value)
