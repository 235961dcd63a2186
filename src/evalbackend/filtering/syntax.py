"""Read the filter language: `and(eq(name, "x"), gt(latency, "2s"), has(tags, 'prod'))`.

    node   = call | field | literal | list
    call   = name "(" [ node { "," node } ] ")"
    list   = "[" [ node { "," node } ] "]"

A string in double quotes has the escapes of JSON, which SDKs write with json.dumps; one in single quotes
knows only \\' and \\\\, so that JSON can be put between them as it is.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from evalbackend.errors import HttpError

_TOKEN = re.compile(
    r"(?P<sign>[(),\[\]])"
    r"|(?P<word>[A-Za-z_][\w.]*)"
    r"|(?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])"
    r'|"(?P<double>(?:[^"\\]|\\.)*)"'
    r"|'(?P<single>(?:[^'\\]|\\.)*)'",
    re.DOTALL,
)
_SPACE = re.compile(r"\s*")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_DEPTH = 20
_LENGTH = 100_000


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, a number, a boolean or null; `at` is its place in the text, counted from 0."""

    value: str | float | int | bool | None
    at: int


@dataclass(frozen=True, slots=True)
class Field:
    """A bare name."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Items:
    """`[node, ...]`."""

    nodes: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """`name(node, ...)`."""

    name: str
    args: tuple[Node, ...]
    at: int


Node = Call | Field | Items | Literal


def parse(text: str) -> Call:
    """Return the call that `text` spells; 400, with the place, if it cannot be read."""
    if len(text) > _LENGTH:
        raise HttpError(400, f"the filter is longer than {_LENGTH} characters")
    parser = _Parser(text)
    node = parser.node(0)
    if parser.kind:
        parser.fail("expected the end")
    if not isinstance(node, Call):
        raise wrong(node, 'expected a call such as eq(name, "x")')
    return node


def wrong(node: Node, why: str) -> HttpError:
    """Return a 400 that says where in the filter it went wrong."""
    return HttpError(400, f"the filter, at character {node.at}: {why}")


class _Parser:
    """Recursive descent; `kind`, `text` and `at` are the token that is looked at, '' at the end."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._end = 0
        self._step()

    def _step(self) -> None:
        space = _SPACE.match(self._source, self._end)
        self.at = space.end() if space else self._end
        match = _TOKEN.match(self._source, self.at)
        self.kind, self.text = "", ""
        if match is not None and match.lastgroup is not None:
            self.kind, self.text, self._end = match.lastgroup, match[match.lastgroup], match.end()
        elif self.at < len(self._source):
            self.kind, self.text = "sign", self._source[self.at]
            self.fail("expected a name, a literal, a list or a bracket")

    def fail(self, why: str) -> NoReturn:
        """Raise a 400 about the present token."""
        found = repr(self._source[self.at : self.at + 20]) if self.kind else "the end"
        raise HttpError(400, f"the filter cannot be read at character {self.at}: {why}, found {found}")

    def node(self, depth: int) -> Node:
        """Read one node."""
        if depth > _DEPTH:
            self.fail(f"expected at most {_DEPTH} levels")
        kind, text, at = self.kind, self.text, self.at
        if kind == "sign" and text == "[":
            return Items(self._nodes("]", depth), at)
        if kind in ("sign", ""):
            self.fail("expected a name, a literal or a list")
        self._step()
        if kind != "word":
            return Literal(_value(kind, text), at)
        if self.text == "(" and self.kind == "sign":
            return Call(text.lower(), self._nodes(")", depth), at)
        return Literal(_WORDS[text.lower()], at) if text.lower() in _WORDS else Field(text, at)

    def _nodes(self, close: str, depth: int) -> tuple[Node, ...]:
        self._step()
        nodes: list[Node] = []
        while not self._at(close):
            nodes.append(self.node(depth + 1))
            if self._at(","):
                self._step()
            elif not self._at(close):
                self.fail(f"expected ',' or '{close}'")
        self._step()
        return tuple(nodes)

    def _at(self, sign: str) -> bool:
        return self.kind == "sign" and self.text == sign


def _value(kind: str, text: str) -> str | float | int:
    if kind == "number":
        if text.lstrip("+-").isdigit() and len(text) < 300:
            return int(text)
        value = float(text)
        return value if math.isfinite(value) else math.copysign(1e308, value)
    if kind == "double":
        return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescaped, text, flags=re.DOTALL).encode(
            "utf-16", "surrogatepass"
        ).decode("utf-16", "replace")  # fmt: skip
    return re.sub(r"\\(['\\])", r"\1", text)


def _unescaped(match: re.Match[str]) -> str:
    told = match[1]
    return chr(int(told[1:], 16)) if len(told) == 5 else _ESCAPES.get(told, told)
