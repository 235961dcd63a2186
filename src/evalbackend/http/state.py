"""What every endpoint needs, and how it answers."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.faults import FaultPlan
from evalbackend.http.body import read_body
from evalbackend.http.presign import Signer
from evalbackend.prices import Prices
from evalbackend.store.base import OpenStore
from evalbackend.store.bookmarks import Bookmarks
from evalbackend.wire.values import is_uuid, json_object, load_json, uuid_text


@dataclass(slots=True)
class AppState:
    """The open store, the signer of addresses, the plan of faults now in force, the flags of /info, the prices."""

    store: OpenStore
    signer: Signer
    faults: FaultPlan
    flags: dict[str, bool]
    prices: Prices
    bookmarks: Bookmarks = field(default_factory=Bookmarks)  # of the listing of examples
    tasks: set[asyncio.Task[None]] = field(default_factory=set)  # what is to happen later


def state(request: Request) -> AppState:
    """Return the application's parts."""
    found: AppState = request.app.state.state
    return found


NOWHERE = "Not Found"
_PATH_IDS = ("id", "token", "example", "run", "item")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


def base_of(request: Request) -> str:
    """Return this server's address as the client reached it: scheme and Host header, no slash at the end.

    Of what proxies add, uvicorn heeds X-Forwarded-Proto, and that only from this machine. X-Forwarded-Host is
    not heeded: a proxy passes on the Host header, which the gate has checked.
    """
    scheme = "https" if request.scope["scheme"] == "https" else "http"
    host = request.headers.get("host", "")
    if _HOST.fullmatch(host):
        return f"{scheme}://{host}"
    name, port = request.scope["server"]
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}"


def signer_of(request: Request) -> Signer:
    """Return the signer, whose addresses this client can fetch as they stand."""
    return replace(state(request).signer, base=base_of(request))


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
    """Return a UUID of the path; 404 for anything else: what has no id of ours is a path that is not served."""
    try:
        return uuid_text(request.path_params[name], name)
    except HttpError:
        raise HttpError(404, NOWHERE) from None


def names_nothing(request: Request) -> bool:
    """Tell whether the path has a word where an id belongs: then no method of it is served."""
    told = (value for name, value in request.path_params.items() if name in _PATH_IDS)
    return not all(is_uuid(value) for value in told)


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
