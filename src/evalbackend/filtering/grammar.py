"""From the tree of a filter to SQL with parameters. No text of a filter ever becomes text of SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.filtering.syntax import Call, Field, Items, Literal, Node, wrong

Sql = tuple[str, list[Any]]

_COMPARE = {"eq": "IS", "neq": "IS NOT", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=",
            "like": "LIKE", "nlike": "NOT LIKE"}  # fmt: skip
_LOGIC = ("and", "or", "not")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that hang on a resource (feedback; the keys of its metadata), each with a key and values.

    `source` is what stands between FROM and AND. Conditions that stand side by side in one and(...) are
    asked of one row; a second condition on `key` begins a second row.
    """

    source: str
    key: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Grammar:
    """What may be asked of one resource: field -> SQL expression, and how values are brought into form."""

    fields: dict[str, str]
    documents: dict[str, str]  # fields that hold JSON objects, for has() and exists()
    lists: dict[str, str]  # fields that hold JSON arrays, for has() and in()
    coerce: Callable[[str, Any], Any]  # (field, value) -> value; HttpError for what the field cannot hold
    rows: tuple[Rows, ...] = ()
    flags: dict[str, str] = field(default_factory=dict)  # field -> what it is compared with true and false
    texts: dict[str, str] = field(default_factory=dict)  # what search() looks into
    lookups: dict[str, Callable[[str], str]] = field(default_factory=dict)  # field -> how an index finds it

    def sql(self, node: Node) -> Sql:
        """Return (SQL condition, its arguments); 400, with the place, for what is not served."""
        return self._sql(_named(node))

    def _sql(self, node: Node) -> Sql:
        if not isinstance(node, Call):
            raise wrong(node, 'expected a call such as eq(name, "x")')
        if node.name == "and" and node.args:
            return _joined("AND", self._all(node))
        if node.name == "or" and node.args:
            return _joined("OR", [self._sql(arg) for arg in node.args])
        if node.name == "not" and len(node.args) == 1:
            return _negated(self._sql(node.args[0]))
        rows = self._rows_of(node)
        return self._leaf(node) if rows is None else self._some_row(rows, [node])

    def _all(self, call: Call) -> list[Sql]:
        bundles: list[tuple[Rows, list[Call]]] = []
        others: list[Node] = []
        for arg in call.args:
            rows = self._rows_of(arg)
            if rows is None or not isinstance(arg, Call):
                others.append(arg)
            else:
                _bundle(bundles, rows, arg)
        made = [self._sql(arg) for arg in others if not self._joins(bundles, arg)]
        return [*made, *(self._some_row(rows, leaves) for rows, leaves in bundles)]

    def _joins(self, bundles: list[tuple[Rows, list[Call]]], node: Node) -> bool:
        """Whether an or(...) or not(...) beside a key is about that key's row; then it is put there."""
        for rows, leaves in reversed(bundles):
            if any(_field_of(leaf) == rows.key for leaf in leaves) and _only_values(node, rows):
                assert isinstance(node, Call)
                leaves.append(node)
                return True
        return False

    def _rows_of(self, node: Node) -> Rows | None:
        name = _field_of(node)
        return next((rows for rows in self.rows if name in rows.fields), None)

    def _some_row(self, rows: Rows, calls: list[Call]) -> Sql:
        condition, args = _joined("AND", [self._of_row(rows, call) for call in calls])
        return f"EXISTS (SELECT 1 FROM {rows.source} AND {condition})", args  # noqa: S608

    def _of_row(self, rows: Rows, call: Call) -> Sql:
        if call.name in _LOGIC:
            made = [self._of_row(rows, arg) for arg in call.args if isinstance(arg, Call)]
            return _negated(made[0]) if call.name == "not" else _joined(call.name.upper(), made)
        name = _field_of(call) or ""
        found = self._compared(call, name, rows.fields[name])
        if found is None:
            raise wrong(call, f"{call.name}({name}, ...) is not served with these arguments")
        return found

    def _leaf(self, call: Call) -> Sql:
        if call.name == "search":
            return self._search(call)
        if not call.args or not isinstance(call.args[0], Field):
            raise wrong(call, f"{call.name}(...) with these arguments is not served")
        name = call.args[0].name
        if (spread := self._spread(call, name)) is not None:
            return self._sql(spread)
        found = self._held(call, name) if len(call.args) == 2 else None
        if found is None and name in self.fields:
            found = self._looked_up(call, name) or self._compared(call, name, self.fields[name])
        if found is not None:
            return found
        known = {*self.fields, *self.documents, *self.lists, *(f for rows in self.rows for f in rows.fields)}
        if name not in known:
            raise wrong(
                call.args[0], f"the field {name!r} is not known; known are {', '.join(sorted(known))}"
            )
        raise wrong(call, f"{call.name}({name}, ...) is not served with these arguments")

    def _spread(self, call: Call, name: str) -> Call | None:
        """Return eq(metadata.k, v), as tools write it too, as and(eq(metadata_key, k), eq(metadata_value, v))."""
        key = name.removeprefix("extra.").removeprefix("metadata.")
        if not name.endswith(f"metadata.{key}") or not any(one.key == "metadata_key" for one in self.rows):
            return None
        at = call.args[0].at
        named = Call("eq", (Field("metadata_key", at), Literal(key, at)), at)
        return Call("and", (named, replace(call, args=(Field("metadata_value", at), *call.args[1:]))), at)

    def _looked_up(self, call: Call, name: str) -> Sql | None:
        """Return eq() and in() of a field that an index finds, though not by comparing the field alone."""
        if name not in self.lookups or call.name not in ("eq", "in") or len(call.args) != 2:
            return None
        value = call.args[1]
        some = [self._value(name, item) for item in (_each(value) if call.name == "in" else [value])]
        return None if some == [None] else (self.lookups[name](",".join("?" * len(some))), some * 2)

    def _compared(self, call: Call, name: str, expression: str) -> Sql | None:
        if call.name == "exists" and len(call.args) == 1:
            return f"{expression} IS NOT NULL", []
        value = call.args[1] if len(call.args) == 2 else None
        if call.name in _COMPARE and isinstance(value, Literal):
            if isinstance(value.value, bool) and name in self.flags and call.name in ("eq", "neq"):
                return f"{self.flags[name]} {_COMPARE[call.name]} ?", [int(value.value)]
            return f"{expression} {_COMPARE[call.name]} ?", [self._value(name, value)]
        if call.name == "in" and isinstance(value, (Items, Literal)):
            some = [self._value(name, item) for item in _each(value)]
            return f"{expression} IN ({','.join('?' * len(some))})", some
        return None

    def _value(self, name: str, node: Node) -> Any:
        if not isinstance(node, Literal):
            raise wrong(node, "expected a literal")
        try:
            return self.coerce(name, node.value)
        except HttpError as error:
            raise wrong(node, error.detail) from error

    def _held(self, call: Call, name: str) -> Sql | None:
        """Return has() and in() of a list, has() and exists() of a document."""
        value = call.args[1]
        wanted = _each(value) if call.name == "in" else [value]
        if name in self.lists and call.name in ("has", "in"):
            texts = [_text(node) for node in wanted]
            each = f"json_each({self.lists[name]})"
            return f"EXISTS (SELECT 1 FROM {each} WHERE value IN ({','.join('?' * len(texts))}))", texts  # noqa: S608
        if name in self.documents and call.name == "has":
            return f"json_contains({self.documents[name]}, ?)", [_document(value)]
        if name in self.documents and call.name == "exists":
            return f"EXISTS (SELECT 1 FROM json_each({self.documents[name]}) WHERE key = ?)", [_text(value)]  # noqa: S608
        return None

    def _search(self, call: Call) -> Sql:
        where, wanted = list(self.texts.values()), call.args[-1] if call.args else call
        if len(call.args) == 2 and isinstance(call.args[0], Field) and call.args[0].name in self.texts:
            where = [self.texts[call.args[0].name]]
        elif len(call.args) != 1 or not where:
            raise wrong(call, f"search takes a text, or a field ({', '.join(self.texts)}) and a text")
        pattern = _text(wanted).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return _joined("OR", [(f"{place} LIKE ? ESCAPE '\\'", [f"%{pattern}%"]) for place in where])


def _named(node: Node) -> Node:
    """Return the tree with the fields that stand in quotes, where nothing but a field can stand."""
    if not isinstance(node, Call) or not node.args:
        return node
    first, *rest = node.args
    if node.name in _LOGIC:
        return replace(node, args=tuple(map(_named, node.args)))
    if isinstance(first, Literal) and isinstance(first.value, str) and (rest or node.name == "exists"):
        first = Field(first.value, first.at)
    return replace(node, args=(first, *rest))


def _each(value: Node) -> list[Node]:
    return list(value.nodes) if isinstance(value, Items) else [value]


def _joined(word: str, made: Iterable[Sql]) -> Sql:
    parts = list(made)
    return f"({f' {word} '.join(part[0] for part in parts)})", [arg for part in parts for arg in part[1]]


def _negated(made: Sql) -> Sql:
    return f"NOT COALESCE({made[0]}, 0)", made[1]


def _field_of(node: Node) -> str | None:
    if isinstance(node, Call) and node.name not in _LOGIC and node.args and isinstance(node.args[0], Field):
        return node.args[0].name
    return None


def _bundle(bundles: list[tuple[Rows, list[Call]]], rows: Rows, leaf: Call) -> None:
    last = next((leaves for known, leaves in reversed(bundles) if known is rows), None)
    second = last is not None and _field_of(leaf) == rows.key and any(_field_of(x) == rows.key for x in last)
    if last is None or second:
        bundles.append((rows, [leaf]))
    else:
        last.append(leaf)


def _only_values(node: Node, rows: Rows) -> bool:
    if isinstance(node, Call) and node.name in _LOGIC and node.args:
        return (node.name != "not" or len(node.args) == 1) and all(_only_values(a, rows) for a in node.args)
    name = _field_of(node)
    return name in rows.fields and name != rows.key


def _text(node: Node) -> str:
    if isinstance(node, Literal) and isinstance(node.value, str):
        return node.value
    raise wrong(node, "expected a string")


def _document(node: Node) -> str:
    text = _text(node)
    try:
        if isinstance(orjson.loads(text), dict):
            return text
    except orjson.JSONDecodeError:
        pass
    raise wrong(node, "has() on a JSON field needs a JSON object as text")
