"""The OpenAPI document of the routes: which there are is read off the routing table, the rest is declared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from evalbackend.http.openapi_declared import DECLARED, Declared
from evalbackend.http.state import answer

_PAGES = ("/ui", "/o/", "/login", "/logout")
_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "int": {"type": "integer", "minimum": 0},
    "bool": {"type": "boolean"},
    "uuid": {"type": "string", "format": "uuid"},
    "time": {"type": "string", "format": "date-time"},
    "obj": {"type": "object"},
    "list": {"type": "array"},
    "any": {},
}
_BODIES = {"json": "application/json", "list": "application/json", "form": "multipart/form-data"}
_PATH = re.compile(r"\{(\w+)(?::\w+)?\}")


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """Return the document of the routes that clients call; the pages for browsers are not in it."""
    paths: dict[str, dict[str, Any]] = {}
    for path, method in operations(routes):
        told = DECLARED.get(f"{method} {path}", Declared(""))
        paths.setdefault(_PATH.sub(r"{\1}", path), {})[method.lower()] = _operation(path, told)
    key = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "evalrunner's local backend", "version": "1"},
        "servers": [{"url": prefix} for prefix in ("/", "/api/v1", "/api", "/v1")],
        "components": {"securitySchemes": {"key": key}},
        "security": [{"key": []}],
        "paths": paths,
    }


def operations(routes: Iterable[BaseRoute]) -> list[tuple[str, str]]:
    """Return (path, method) of everything that clients call."""
    return [
        (route.path, method)
        for route in routes
        if isinstance(route, Route) and route.path != "/" and not route.path.startswith(_PAGES)
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def _operation(path: str, told: Declared) -> dict[str, Any]:
    given = [_parameter(name, "path", required=True) for name in _PATH.findall(path)]
    given += [_parameter(one, "query") for one in told.query.split()]
    answers = {str(told.status): {"description": "done"}, "4XX": {"description": "refused, with a detail"}}
    if told.unserved:
        answers["501"] = {"description": told.unserved}
    shown: dict[str, Any] = {"summary": told.summary, "parameters": given, "responses": answers}
    if told.kind:
        shown["requestBody"] = {"required": True, "content": {_BODIES[told.kind]: {"schema": _body(told)}}}
    return shown


def _parameter(spelled: str, place: str, required: bool = False) -> dict[str, Any]:
    name, schema, must = _field(spelled if ":" in spelled else f"{spelled}:{_path_type(spelled)}")
    return {"name": name, "in": place, "required": required or must, "schema": schema}


def _path_type(name: str) -> str:
    return {"index": "int", "sha": "text"}.get(name, "uuid")


def _body(told: Declared) -> dict[str, Any]:
    fields = [_field(one) for one in told.body.split()]
    one = {
        "type": "object",
        "properties": {name: schema for name, schema, _ in fields},
        "required": [name for name, _, must in fields if must],
    }
    return {"type": "array", "items": one} if told.kind == "list" else one


def _field(spelled: str) -> tuple[str, dict[str, Any], bool]:
    """Return (name, schema, required) of `name:type`, with * for several and ! for what must be there."""
    name, _, kind = spelled.partition(":")
    schema = _TYPES[kind.rstrip("*!")]
    return name, {"type": "array", "items": schema} if "*" in kind else schema, "!" in kind


async def _show(request: Request) -> Response:
    return answer(document(request.app.routes))


routes = [Route("/openapi.json", _show, methods=["GET"])]
