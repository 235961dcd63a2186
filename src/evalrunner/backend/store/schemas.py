"""The JSON schemas of a dataset, and whether an example keeps to them. Nothing is ever fetched for one."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from evalrunner.backend.errors import HttpError
from evalrunner.backend.wire import optional_json

_NOWHERE: Registry[Any] = Registry()  # knows no document but the schema itself, and has no way to get one
_SHOWN = 200  # characters of a message: it quotes the value


def checked_schema(value: object, what: str) -> bytes | None:
    """Return a schema as JSON; 422 if it is none, or refers to another document."""
    raw = optional_json(value, dict, what)
    if raw is None:
        return None
    try:
        schema = orjson.loads(raw)
        _validator(raw).check_schema(schema)
        _check_parts(schema, what)
    except SchemaError as error:
        raise HttpError(422, f"{what} is not a JSON schema: {error.message[:_SHOWN]}") from error
    except RecursionError as error:
        raise HttpError(422, f"{what} is nested too deeply") from error
    return raw


def check_example(
    connection: sqlite3.Connection,
    dataset_id: str,
    example_id: str,
    inputs: bytes | None,
    outputs: bytes | None,
) -> None:
    """Raise 422 if inputs or outputs do not keep to the dataset's schema; None is not looked at."""
    sql = "SELECT inputs_schema, outputs_schema FROM datasets WHERE id = ?"
    schemas = connection.execute(sql, (dataset_id,)).fetchone() or (None, None)
    for what, schema, raw in zip(("inputs", "outputs"), schemas, (inputs, outputs), strict=True):
        if schema is not None and raw is not None:
            _check(_validator(schema), orjson.loads(raw), f"example {example_id}: the {what}")


def _check(validator: Validator, value: Any, what: str) -> None:
    try:
        wrong = next(iter(validator.iter_errors(value)), None)
    except (Unresolvable, RecursionError, re.error) as error:
        raise HttpError(
            422, f"{what} cannot be checked: the dataset's schema is not whole in itself ({error})"
        ) from error
    if wrong is not None:
        told = wrong.message[:_SHOWN]
        raise HttpError(422, f"{what} do not keep to the dataset's schema, at {wrong.json_path}: {told}")


@lru_cache(maxsize=64)
def _validator(raw: bytes) -> Validator:
    schema = orjson.loads(raw)
    kind = validator_for(schema, default=Draft202012Validator)
    return kind(schema, registry=_NOWHERE)


def _check_parts(schema: Any, what: str) -> None:
    """Refuse references to other documents and patterns that are none, wherever they stand."""
    named = {one["$id"] for one in _objects(schema) if isinstance(one.get("$id"), str)}
    for one in _objects(schema):
        for word in ("$ref", "$dynamicRef"):
            place = one.get(word)
            if isinstance(place, str) and "://" in place and place.partition("#")[0] not in named:
                raise HttpError(
                    422, f"{what} refers to {place[:_SHOWN]!r}, and nothing is fetched: put it in"
                )
        if isinstance(one.get("pattern"), str):
            _compiled(one["pattern"], what)


def _compiled(pattern: str, what: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise HttpError(
            422, f"{what} has the pattern {pattern[:_SHOWN]!r}, which is none: {error}"
        ) from error


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _objects(one)
