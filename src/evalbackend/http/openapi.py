"""The OpenAPI document, read off the operations (see operation.py)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from evalbackend.http.operation import Operation
from evalbackend.http.state import answer

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


def document(served: Iterable[Operation]) -> dict[str, Any]:
    """Return the document of the routes that clients call; the pages for browsers are not in it."""
    paths: dict[str, dict[str, Any]] = {}
    for one in served:
        paths.setdefault(_PATH.sub(r"{\1}", one.path), {})[one.method.lower()] = _operation(one)
    key = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "evalrunner's local backend", "version": "1"},
        "servers": [{"url": prefix} for prefix in ("/", "/api/v1", "/api", "/v1")],
        "components": {"securitySchemes": {"key": key}},
        "security": [{"key": []}],
        "paths": paths,
    }


def operations(routes: Iterable[BaseRoute]) -> list[Operation]:
    """Return everything that clients call."""
    return [route for route in routes if isinstance(route, Operation)]


def _operation(one: Operation) -> dict[str, Any]:
    given = [_parameter(name, "path", required=True) for name in _PATH.findall(one.path)]
    given += [_parameter(field, "query") for field in one.query.split()]
    answers = {str(one.status): {"description": "done"}, "4XX": {"description": "refused, with a detail"}}
    if one.unserved:
        answers["501"] = {"description": one.unserved}
    shown: dict[str, Any] = {"summary": one.summary, "parameters": given, "responses": answers}
    if one.kind:
        shown["requestBody"] = {"required": True, "content": {_BODIES[one.kind]: {"schema": _body(one)}}}
    return shown


def _parameter(spelled: str, place: str, required: bool = False) -> dict[str, Any]:
    name, schema, must = _field(spelled if ":" in spelled else f"{spelled}:{_path_type(spelled)}")
    return {"name": name, "in": place, "required": required or must, "schema": schema}


def _path_type(name: str) -> str:
    return {"index": "int", "sha": "text"}.get(name, "uuid")


def _body(told: Operation) -> dict[str, Any]:
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
    return answer(document(request.app.state.operations))


routes = [
    Operation("GET /openapi.json", _show, "This document", reads=True),
]
