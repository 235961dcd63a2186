"""What every request passes before it is routed: prefix, host, key, faults."""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import Callable
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evalbackend import web
from evalbackend.faults import Rule
from evalbackend.http.body import ROOM, Room
from evalbackend.http.state import AppState

# The SDK mounts its calls here and there, by endpoint and by age of the call.
_PREFIXES = ("/v1/api/v1", "/v1/api", "/api/v1", "/api", "/v1")  # the generated client appends to /v1
ADMIN = "/_admin/"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Gate:
    """ASGI middleware; everything that it turns away is answered in JSON."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        state: AppState,
        token: str,
        admin_token: str | None,
        hosts: tuple[str, ...] | None,
        open_stems: tuple[str, ...],
    ) -> None:
        self._app = app
        self._state = state
        self._token = token.encode()
        self._admin = admin_token.encode() if admin_token else None
        self._hosts = hosts
        self._open = (*open_stems, *web.OPEN)  # what begins so asks for no key
        self._places = asyncio.Semaphore(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = {**scope, "path": _stripped(scope["path"])}
        headers = dict(scope["headers"])
        refusal = self._refusal(scope["path"], headers)
        if refusal is not None:
            await answered(send, *refusal)
            return
        admin = scope["path"].startswith(ADMIN)
        rule = None if admin else self._state.faults.strike(scope["method"], scope["path"])
        room = scope[ROOM] = Room(self._places)
        try:
            if rule is None:
                await self._app(scope, receive, send)
            else:
                await self._misbehave(rule, scope, receive, send)
        finally:
            room.leave()

    def _refusal(self, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        # A page in a browser could reach a loopback server under a name of its own (DNS rebinding).
        if self._hosts is not None and _host(headers.get(b"host", b"")) not in self._hosts:
            return 400, "the Host header is not the address of this server"
        if path.startswith(ADMIN):
            if self._admin is None:
                return 404, "Not Found"
            if not hmac.compare_digest(headers.get(b"x-admin-token", b""), self._admin):
                return 401, "the x-admin-token is missing or wrong"
            return None
        if path.startswith(self._open) or path in web.WAY_IN or self._known_key(headers):
            return None
        return 401, "the API key (x-api-key, or Authorization: Bearer) is missing or wrong"

    def _known_key(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        given = headers.get(b"x-api-key") or (bearer.strip() if scheme.lower() == b"bearer" else b"")
        return hmac.compare_digest(given, self._token)

    async def _misbehave(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        if rule.action == "status":
            await _drain(receive)
            extra = {} if rule.retry_after is None else {"retry-after": str(math.ceil(rule.retry_after))}
            await answered(send, rule.status, "a fault of the plan", extra)
        elif rule.action == "stall":
            await asyncio.sleep(rule.seconds)
            await self._app(scope, receive, send)
        elif rule.action == "delay":
            await self._app(scope, receive, _held(send, rule.seconds))
        elif rule.action == "cut_before":
            await _drain(receive)
            await _cut(scope, receive)
        else:
            await self._app(scope, receive, _swallow)
            await _cut(scope, receive)


def _stripped(path: str) -> str:
    for prefix in _PREFIXES:
        if path.startswith(f"{prefix}/"):
            return path[len(prefix) :]
    return path


def _host(header: bytes) -> str:
    name, _, port = header.decode("latin-1").rpartition(":")
    return name if name and port.isdigit() else header.decode("latin-1")


async def answered(send: Send, status: int, detail: str, extra: dict[str, str] | None = None) -> None:
    """Answer with a detail in JSON."""
    body = orjson.dumps({"detail": detail})
    headers = {"content-type": "application/json", "content-length": str(len(body)), **(extra or {})}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _drain(receive: Receive) -> None:
    while (await receive()).get("more_body"):
        pass


def _held(send: Send, seconds: float) -> Send:
    async def later(message: Message) -> None:
        if message["type"] == "http.response.start":
            await asyncio.sleep(seconds)
        await send(message)

    return later


async def _swallow(_: Message) -> None:
    return None


async def _cut(scope: Scope, receive: Receive) -> None:
    """Close the connection without an answer, as a crash or a broken network would."""
    abort: Callable[[], Any] | None = scope.get("evalrunner.abort")
    if abort is None:
        raise RuntimeError("this server cannot cut connections: use evalbackend.serve.serve")
    abort()
    while (await receive())["type"] != "http.disconnect":
        pass
