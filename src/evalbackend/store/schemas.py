"""The JSON schemas of a dataset, and whether an example keeps to them. Nothing is ever fetched for one.

Values are checked before their write, not in the write thread, which others wait for: `pairs` reads what is
to be checked, `check` checks it (at its leisure, in any thread), and the write itself only makes sure that what
it finds has been checked (`require_checked`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from referencing.exceptions import Unresolvable

from evalbackend.errors import HttpError
from evalbackend.store.patterns import SECONDS, TooLongError, compiled, first_error, validator_of
from evalbackend.wire.examples import ExampleWrite
from evalbackend.wire.values import optional_json

Schemas = tuple[bytes | None, bytes | None]  # of the inputs, of the outputs
Checked = frozenset[tuple[bytes, bytes]]  # (schema, value) that were found to agree
UNCHECKED: Checked = frozenset()
_LARGEST = 2**20  # bytes of a schema
_SHOWN = 200  # characters of a message: it quotes the value
_FIELDS = ("inputs", "outputs")


class Pair(NamedTuple):
    """A schema, and a value that must keep to it; `what` names the value in an error."""

    schema: bytes
    value: bytes
    what: str


def checked_schema(value: object, what: str) -> bytes | None:
    """Return a schema as JSON; 422 if it is none, or refers to another document."""
    raw = optional_json(value, dict, what)
    if raw is None:
        return None
    if len(raw) > _LARGEST:
        raise HttpError(422, f"{what} is larger than {_LARGEST} bytes")
    try:
        schema = orjson.loads(raw)
        _check_parts(schema, what)
        # No formats: what a pattern is, another engine than Python's says (_check_parts).
        type(validator_of(schema)).check_schema(schema, format_checker=None)  # type: ignore[call-arg]
    except SchemaError as error:
        raise HttpError(422, f"{what} is not a JSON schema: {error.message[:_SHOWN]}") from error
    except RecursionError as error:
        raise HttpError(422, f"{what} is nested too deeply") from error
    return raw


def pairs(connection: sqlite3.Connection, writes: Iterable[tuple[str | None, ExampleWrite]]) -> list[Pair]:
    """Return what must be checked before these examples are written; None is the dataset they are in."""
    schemas: dict[str, Schemas] = {}
    found: list[Pair] = []
    for named, write in writes:
        dataset_id = named or _owner(connection, write.id)
        if dataset_id not in schemas:
            schemas[dataset_id] = schemas_of(connection, dataset_id)
        found += paired(schemas[dataset_id], write, _values(connection, write))
    return found


def _values(connection: sqlite3.Connection, write: ExampleWrite) -> tuple[bytes | None, bytes | None]:
    run = None
    if write.use_source_run_io:
        sql = "SELECT inputs, outputs FROM runs WHERE id = ?"
        run = connection.execute(sql, (write.source_run_id,)).fetchone()
    inputs, outputs = run or (None, None)
    return write.inputs or inputs, write.outputs or outputs


def paired(schemas: Schemas, write: ExampleWrite, values: Schemas) -> Iterator[Pair]:
    """Yield what must be checked of one example."""
    for what, schema, value in zip(_FIELDS, schemas, values, strict=True):
        if schema is not None and value is not None:
            yield Pair(schema, value, f"example {write.id}: the {what}")


def schemas_of(connection: sqlite3.Connection, dataset_id: str) -> Schemas:
    """Return the schemas of a dataset's inputs and outputs, as far as it has them."""
    sql = "SELECT inputs_schema, outputs_schema FROM datasets WHERE id = ?"
    return connection.execute(sql, (dataset_id,)).fetchone() or (None, None)


def _owner(connection: sqlite3.Connection, example_id: str) -> str:
    sql = "SELECT dataset_id FROM example_versions WHERE example_id = ? AND valid_to IS NULL"
    row = connection.execute(sql, (example_id,)).fetchone()
    return "" if row is None else str(row[0])  # the write itself says that there is none


def check(found: list[Pair], seconds: float = SECONDS) -> Checked:
    """Check values, each in `seconds` at most; 422 if one does not keep to its schema, or takes longer."""
    for pair in found:
        _check(_validator(pair.schema), orjson.loads(pair.value), pair.what, seconds)
    return frozenset((pair.schema, pair.value) for pair in found)


def require_checked(
    connection: sqlite3.Connection, dataset_id: str, write: ExampleWrite, checked: Checked
) -> None:
    """Raise 409 unless what is about to be written has been checked against the schemas that hold now."""
    schemas = schemas_of(connection, dataset_id)
    for pair in paired(schemas, write, (write.inputs, write.outputs)):
        if (pair.schema, pair.value) not in checked:
            raise HttpError(
                409, f"{pair.what} were checked against a schema that has changed: send them again"
            )


def _check(validator: Validator, value: Any, what: str, seconds: float) -> None:
    try:
        wrong = first_error(validator, value, seconds)
    except TooLongError as error:
        raise HttpError(422, f"{what} cannot be checked against the dataset's schema: {error}") from error
    except (Unresolvable, RecursionError, ValueError) as error:
        raise HttpError(
            422, f"{what} cannot be checked: the dataset's schema is not whole in itself ({error})"
        ) from error
    if wrong is not None:
        told = wrong.message[:_SHOWN]
        raise HttpError(422, f"{what} do not keep to the dataset's schema, at {wrong.json_path}: {told}")


@lru_cache(maxsize=64)
def _validator(raw: bytes) -> Validator:
    return validator_of(orjson.loads(raw))


def _check_parts(schema: Any, what: str) -> None:
    """Refuse references to other documents and patterns that are none, wherever they stand."""
    objects = list(_objects(schema))
    named = {one["$id"] for one in objects if isinstance(one.get("$id"), str)}
    for one in objects:
        for word in ("$ref", "$dynamicRef"):
            place = one.get(word)
            if isinstance(place, str) and "://" in place and place.partition("#")[0] not in named:
                raise HttpError(
                    422, f"{what} refers to {place[:_SHOWN]!r}, and nothing is fetched: put it in"
                )
        for pattern in _patterns(one):
            _compiled(pattern, what)
    words = {word for one in objects for word in one}
    if {"patternProperties", "unevaluatedProperties"} <= words:
        # There the package would use its own matching of patterns, which a value can make endless.
        raise HttpError(422, f"{what}: patternProperties beside unevaluatedProperties are not served")


def _patterns(one: dict[str, Any]) -> Iterator[str]:
    if isinstance(one.get("pattern"), str):
        yield one["pattern"]
    if isinstance(one.get("patternProperties"), dict):
        yield from one["patternProperties"]


def _compiled(pattern: str, what: str) -> None:
    try:
        compiled(pattern)
    except ValueError as error:
        raise HttpError(422, f"{what} has the pattern {pattern[:_SHOWN]!r}: {error}") from error


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _objects(one)
