"""Whether a message's fields have the types that its class says: what a worker sends, its target may have made."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from dataclasses import fields
from typing import Any, cast

Check = Callable[[Any], bool]


def _number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _seconds(value: Any) -> bool:
    return type(value) in (int, float)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


#: By annotation; a field with another one is not checked here.
_CHECKS: dict[str, Check] = {
    "int": _number,
    "str": _text,
    "bool": lambda value: type(value) is bool,
    "float": _seconds,
    "str | None": lambda value: value is None or _text(value),
    "list[str]": _texts,
    "dict[str, list[str]]": lambda value: _object(value) and all(map(_texts, value.values())),
    "dict[str, Any]": _object,
    "dict[str, dict[str, Any]]": lambda value: _object(value) and all(map(_object, value.values())),
    "dict[str, str]": lambda value: _object(value) and all(map(_text, value.values())),
}


@functools.cache
def _checks_of(kind: Any) -> tuple[tuple[str, Check], ...]:
    return tuple((f.name, _CHECKS[f.type]) for f in fields(kind) if f.type in _CHECKS)


def checked(message: Any) -> Any:
    """Return `message`, a dataclass, if its fields have the types that they are said to have.

    Raises:
        TypeError: one has not; the sentence names it.
    """
    for name, right in _checks_of(cast("Hashable", type(message))):
        if not right(getattr(message, name)):
            raise TypeError(f"{type(message).__name__}.{name} is of the wrong type")
    return message


def numbers(values: Any, count: int) -> tuple[int, ...]:
    """Return the first `count` of `values`, all of which must be numbers.

    Raises:
        TypeError: one is not.
    """
    found = tuple(values[:count])
    if len(found) != count or not all(map(_number, found)):
        raise TypeError("numbers are missing")
    return found
