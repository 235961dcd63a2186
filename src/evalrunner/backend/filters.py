"""The service's filter language, as far as it is served: `and(eq(name, "x"), gt(latency, 2))`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from evalrunner.backend.errors import HttpError

_TOKEN = re.compile(
    r'\s*(?:([(),\[\]])|([A-Za-z_]\w*)|(-?\d+(?:\.\d+)?)|"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\')'
)
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None}
_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Field:
    """A bare name in a filter."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """`name(arg, ...)`; an argument is a Call, a Field, a list of values, or a value."""

    name: str
    args: tuple[Any, ...]


def parse(text: str) -> Call:
    """Return the call that `text` spells; 400 if it cannot be read."""
    tokens = _tokens(text)
    node, rest = _node(tokens, 0)
    if rest != len(tokens) or not isinstance(node, Call):
        raise HttpError(400, f"the filter cannot be read: {text[:200]}")
    return node


def _tokens(text: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise HttpError(400, f"the filter cannot be read from character {at}: {text[:200]}")
        at = match.end()
        sign, word, number, double, single = match.groups()
        if sign:
            found.append(("sign", sign))
        elif word:
            found.append(("word", word))
        elif number:
            found.append(("value", float(number) if "." in number else int(number)))
        else:
            found.append(("value", _unescaped(double if double is not None else single)))
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _node(tokens: list[tuple[str, Any]], at: int, depth: int = 0) -> tuple[Any, int]:
    if at >= len(tokens) or depth > _DEPTH:
        raise HttpError(400, "the filter ends too early, or is nested too deeply")
    kind, text = tokens[at]
    if kind == "value":
        return text, at + 1
    if text == "[":
        items, end = _list(tokens, at + 1, "]", depth)
        return items, end
    if kind != "word":
        raise HttpError(400, f"the filter has an unexpected {text!r}")
    if at + 1 < len(tokens) and tokens[at + 1] == ("sign", "("):
        items, end = _list(tokens, at + 2, ")", depth)
        return Call(text, tuple(items)), end
    return _WORDS[text.lower()] if text.lower() in _WORDS else Field(text), at + 1


def _list(tokens: list[tuple[str, Any]], at: int, close: str, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    while at < len(tokens) and tokens[at] != ("sign", close):
        item, at = _node(tokens, at, depth + 1)
        items.append(item)
        if at < len(tokens) and tokens[at] == ("sign", ","):
            at += 1
    return items, at + 1


_COMPARE = {"eq": "IS", "neq": "IS NOT", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(frozen=True, slots=True)
class Grammar:
    """What may be asked of one resource: field -> SQL expression, and how values are brought into form."""

    fields: dict[str, str]
    documents: dict[str, str]  # fields that hold JSON objects, for has() and exists()
    lists: dict[str, str]  # fields that hold JSON arrays, for has()
    coerce: Any  # (field, value) -> value

    def sql(self, node: Any) -> tuple[str, list[Any]]:
        """Return (SQL condition, its arguments); 400 for what is not served."""
        if not isinstance(node, Call):
            raise HttpError(400, 'a filter must be made of calls such as eq(name, "x")')
        if node.name in ("and", "or") and node.args:
            made = [self.sql(arg) for arg in node.args]
            return f"({f' {node.name.upper()} '.join(m[0] for m in made)})", [a for m in made for a in m[1]]
        if node.name == "not" and len(node.args) == 1:
            condition, args = self.sql(node.args[0])
            return f"NOT COALESCE({condition}, 0)", args
        if len(node.args) == 2 and isinstance(node.args[0], Field):
            return self._leaf(node.name, node.args[0].name, node.args[1])
        raise HttpError(400, f"the filter function {node.name}/{len(node.args)} is not served")

    def _leaf(self, name: str, field: str, value: Any) -> tuple[str, list[Any]]:
        if name in _COMPARE and field in self.fields and not isinstance(value, (list, Call, Field)):
            return f"{self.fields[field]} {_COMPARE[name]} ?", [self.coerce(field, value)]
        if name == "in" and field in self.fields and isinstance(value, list):
            some = [self.coerce(field, item) for item in value]
            return f"{self.fields[field]} IN ({','.join('?' * len(some))})", some
        if name == "has" and field in self.lists and isinstance(value, str):
            return f"EXISTS (SELECT 1 FROM json_each({self.lists[field]}) WHERE value = ?)", [value]  # noqa: S608
        if name == "has" and field in self.documents and isinstance(value, str):
            return f"json_contains({self.documents[field]}, ?)", [_document(value)]
        if name == "exists" and field in self.documents and isinstance(value, str):
            return f"EXISTS (SELECT 1 FROM json_each({self.documents[field]}) WHERE key = ?)", [value]  # noqa: S608
        raise HttpError(400, f"the filter {name}({field}, ...) is not served")


def _document(text: str) -> str:
    try:
        if isinstance(orjson.loads(text), dict):
            return text
    except orjson.JSONDecodeError:
        pass
    raise HttpError(400, "has() on a JSON field needs a JSON object as text")
