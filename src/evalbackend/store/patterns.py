"""JSON schema validators that cannot be made to hang: by a pattern, by a web of references, by a long list.

The jsonschema package walks a schema and calls a function for each keyword. Two things are changed here.
Patterns are matched by jsonschema-rs, whose engine knows the same patterns (lookarounds and backreferences
included), takes linear time for most and gives up on the others after `_STEPS`; Python's `re` would try for
years. And every keyword looks at the clock first, because references can multiply without end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Any

import jsonschema_rs
import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from referencing import Registry

SECONDS = 5.0  # for one value
_STEPS = 100_000  # of backtracking, per match: some milliseconds
_SIZE = 2**20  # bytes of a compiled pattern
_LIMITS = jsonschema_rs.FancyRegexOptions(backtrack_limit=_STEPS, size_limit=_SIZE, dfa_size_limit=_SIZE)
_NOWHERE: Registry[Any] = Registry()  # knows no document but the schema itself, and has no way to get one
_until = threading.local()
_Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TooLongError(Exception):
    """A value could not be checked in the time there is; the text says why."""


def first_error(validator: Validator, value: Any, seconds: float = SECONDS) -> ValidationError | None:
    """Return the first thing that is wrong with a value; TooLongError if that takes longer than `seconds`."""
    _until.time = time.monotonic() + seconds
    return next(iter(validator.iter_errors(value)), None)


def validator_of(schema: Any) -> Validator:
    """Return the validator of a schema, for the draft that it names (2020-12 if none)."""
    kind = _bounded(validator_for(schema, default=Draft202012Validator))
    # A `$schema` further in, or met again by a reference to the root, would bring back the package's own class.
    return kind(_undeclared(schema), registry=_NOWHERE)


@lru_cache(maxsize=256)
def compiled(pattern: str) -> jsonschema_rs.Validator:
    """Return what matches a pattern; ValueError if it is none, or too large."""
    try:
        return jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=_LIMITS)
    except jsonschema_rs.ValidationError as error:
        raise ValueError("it is no regular expression, or too large a one") from error


def _matches(pattern: str, text: str) -> bool:
    wrong = next(iter(compiled(pattern).iter_errors(text)), None)
    if wrong is not None and "backtracking" in wrong.message:
        raise TooLongError(f"the pattern {pattern[:100]!r} needs too many steps")
    return wrong is None


@cache
def _bounded(kind: type[Validator]) -> type[Validator]:
    keywords = {**kind.VALIDATORS, "pattern": _pattern, "uniqueItems": _unique}
    keywords |= {"patternProperties": _of_pattern, "additionalProperties": _additional}
    known = {name: _timed(check) for name, check in keywords.items() if name in kind.VALIDATORS}
    # jsonschema gives `extend` no types.
    bounded: type[Validator] = extend(kind, known)  # type: ignore[no-untyped-call]
    return bounded


def _timed(check: _Keyword) -> _Keyword:
    def timed(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        if time.monotonic() > _until.time:
            raise TooLongError("that takes too long")
        return check(validator, value, instance, schema)

    return timed


def _pattern(validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not _matches(pattern, instance):
        yield ValidationError(f"{instance[:100]!r} does not match {pattern!r}")


def _of_pattern(validator: Any, patterns: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, schema in patterns.items():
            for name in [one for one in instance if _matches(pattern, one)]:
                yield from validator.descend(instance[name], schema, path=name, schema_path=pattern)


def _additional(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name in instance:
        if name in named or any(_matches(pattern, name) for pattern in patterns):
            continue
        if allowed is False:
            yield ValidationError(f"Additional properties are not allowed ({name!r} was unexpected)")
        else:
            yield from validator.descend(instance[name], allowed, path=name)


def _unique(validator: Any, wanted: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    """Find repeated items in linear time: the package compares objects each with each."""
    if wanted is True and validator.is_type(instance, "array"):
        keys = {orjson.dumps(_whole(one), option=orjson.OPT_SORT_KEYS) for one in instance}
        if len(keys) < len(instance):
            yield ValidationError("the items are not unique")


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    # To a schema, 1.0 and 1 are one number.
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _undeclared(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _undeclared(inner)
            for key, inner in value.items()
            if key != "$schema" or not isinstance(inner, str)
        }
    return [_undeclared(inner) for inner in value] if isinstance(value, list) else value
