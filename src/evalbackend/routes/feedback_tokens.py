"""Tokens for feedback without a key: their addresses can be given to a browser."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import HttpError
from evalbackend.http import fields
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, base_of, body_json, body_object, path_id, query_page, state
from evalbackend.store import feedback_tokens as store
from evalbackend.store.feedback import upsert_feedback
from evalbackend.store.feedback_configs import config_key, create_config
from evalbackend.wire.feedback import feedback_row
from evalbackend.wire.values import iso, optional_uuid, time_text, uuid_text

_LIFETIME = timedelta(hours=3)
_UNITS = ("days", "hours", "minutes")


async def _create(request: Request) -> Response:
    body = await body_json(request)
    several = isinstance(body, list)
    documents = body if several else [body]
    if not all(isinstance(one, dict) for one in documents):
        raise HttpError(422, "the body must be an object, or a list of objects")
    wanted = [_wanted(one) for one in documents]

    def work(connection: Any) -> list[dict[str, str]]:
        for one in documents:
            if one.get("feedback_config") is not None:
                create_config(connection, one)
        return store.create_tokens(connection, wanted)

    made = [_addressed(request, token) for token in await state(request).store.write(work)]
    return answer(made if several else made[0])


def _wanted(document: dict[str, Any]) -> store.NewToken:
    return store.NewToken(
        run_id=uuid_text(document.get("run_id"), "run_id"),
        key=config_key(document.get("feedback_key")),
        feedback_id=optional_uuid(document.get("id"), "id"),
        expires_at=_expiry(document),
    )


def _expiry(document: dict[str, Any]) -> str:
    if document.get("expires_at") is not None:
        return time_text(document["expires_at"], "expires_at")
    told = document.get("expires_in")
    now = datetime.now(timezone.utc)
    if told is None:
        return iso(now + _LIFETIME)
    if not isinstance(told, dict) or not all(isinstance(told.get(unit, 0), int) for unit in _UNITS):
        raise HttpError(422, "expires_in must be an object of days, hours and minutes")
    try:
        return iso(now + timedelta(**{unit: told.get(unit, 0) for unit in _UNITS}))
    except OverflowError:
        raise HttpError(422, "expires_in is too far away") from None


async def _list(request: Request) -> Response:
    run_id = uuid_text(request.query_params.get("run_id"), "run_id")
    limit, offset = query_page(request)
    page = await state(request).store.read(lambda c: store.list_tokens(c, run_id, limit, offset))
    return answer([_addressed(request, token) for token in page])


def _addressed(request: Request, token: dict[str, str]) -> dict[str, str]:
    # Under the prefix by which the client came: the SDK compares the address with its own endpoint.
    prefix = request.scope["raw_path"].decode("latin-1").partition("/feedback/tokens")[0]
    return {**token, "url": f"{base_of(request)}{prefix}/feedback/tokens/{token['id']}"}


async def _use(request: Request) -> Response:
    """Take feedback from a form (POST) or a link (GET)."""
    token = path_id(request, "token")
    told = await body_object(request) if request.method == "POST" else _from_link(request)

    def work(connection: Any) -> bytes:
        begun = store.feedback_of_token(connection, token)
        row = feedback_row({**_given(told), **begun})
        upsert_feedback(connection, [row])
        return row.body

    return answer(orjson.Fragment(await state(request).store.write(work)))


def _given(told: dict[str, Any]) -> dict[str, Any]:
    metadata = told.get("metadata")
    source = {"type": "api", "metadata": metadata if isinstance(metadata, dict) else None}
    fields = {name: told.get(name) for name in ("score", "value", "comment", "correction")}
    return {**fields, "feedback_source": source}


def _from_link(request: Request) -> dict[str, Any]:
    told: dict[str, Any] = dict(request.query_params)
    if "score" in told:
        try:
            told["score"] = float(told["score"])
        except ValueError:
            raise HttpError(422, "score must be a number") from None
    return told


routes = [
    Operation("POST /feedback/tokens", _create, "Make tokens", body=fields.TOKEN, kind="json"),
    Operation(
        "GET /feedback/tokens", _list, "Tokens of a run", query=f"run_id:uuid! {fields.PAGE}", reads=True
    ),
    Operation(
        "GET /feedback/tokens/{token}",
        _use,
        "Give feedback by a link",
        query="score:any value:text comment:text",
        public=True,
    ),
    Operation(
        "POST /feedback/tokens/{token}",
        _use,
        "Give feedback by a token",
        body=fields.USE,
        kind="json",
        public=True,
    ),
]
