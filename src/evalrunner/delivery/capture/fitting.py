"""Bringing a user's values into the form in which a service takes them, or saying that there is none."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import orjson

from evalrunner.delivery.capture.sdk import dumps_json
from evalrunner.protocol.values import NESTING, UnfitError, check_json


def fit(value: Any) -> bytes:
    """Return the JSON of a user's value, in a form that every service takes.

    Raises:
        UnfitError: it holds what no service takes, in whatever form (`values.check_json`).
        BaseException: what an object of the user's raised on the way.
    """
    try:
        data = dumps_json(value)
    except RecursionError:
        raise UnfitError(f"nested deeper than {NESTING} levels, or inside itself") from None
    check_json(data)
    return _strict(data, value)


def strict(value: Any) -> bytes:
    """Return the SDK's JSON of a value, or, where that is none, JSON that every parser takes.

    Where a value holds a lone surrogate, the SDK falls back to the standard library's encoder and cuts what
    looks like a surrogate out of the text (langsmith/_internal/_serde.py:254): that leaves a bare NaN, and may
    leave half of an escaped backslash. The service refuses both, and with them the run.
    """
    return _strict(dumps_json(value), value)


def _strict(data: bytes, value: Any) -> bytes:
    if b"\\" not in data and b"NaN" not in data and b"Infinity" not in data:
        return data
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return _repaired(data, value)
    return data


def _repaired(data: bytes, value: Any) -> bytes:
    try:
        return orjson.dumps(json.loads(data, parse_constant=lambda _: None))
    except ValueError:
        text = json.dumps(value, default=repr, ensure_ascii=False).encode("utf-8", "replace")
        return orjson.dumps(json.loads(text, parse_constant=lambda _: None))


def is_uuid(value: Any) -> bool:
    """Whether a value is an id, or the text of one."""
    try:
        return isinstance(value, UUID) or bool(UUID(value))
    except (ValueError, TypeError, AttributeError):
        return False


def shaped(name: str, data: bytes) -> bytes:
    """Return a field's JSON in the form that the service wants: it answers 422 to a list as outputs."""
    if name == "events":
        return data if data.startswith(b"[") else b"[" + data + b"]"
    if name == "error" or data.startswith(b"{"):
        return data
    return b'{"' + name.removesuffix("s").encode() + b'":' + data + b"}"


def text_from(value: Any) -> str:
    """Return what `str` makes of a value, if that is a text that can be written down."""
    try:
        return str(value).encode("utf-8", "replace").decode()
    except BaseException:
        return type(value).__name__
