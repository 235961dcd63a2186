"""Whether a file holds runs: judged by its first values, once, before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from evalrunner.errors import ConfigError, DataError
from evalrunner.transfer.files.envelope import RUN, keys_of, list_of_runs
from evalrunner.transfer.files.foreign import known, no_json
from evalrunner.transfer.files.piece import Piece
from evalrunner.transfer.files.sound import MORE, end_of
from evalrunner.transfer.files.values import BOM

#: Bytes and values that are looked at.
HEAD = 1 << 19
_FIRST = 8
_WANTED = "expected runs (objects with id, run_type and start_time)"
_KEYS = 8


def judge(name: str, head: bytes, values: Iterable[Piece]) -> None:
    """Look at a file's first bytes and values; of one large object at its keys alone.

    Args:
        values: what is in the file; no more of it is read than is looked at.

    Raises:
        ConfigError: it holds nothing.
        DataError: it holds something else than runs; in one sentence what it is and where it can go.
    """
    if not head.removeprefix(BOM).strip():
        raise ConfigError(f"{name} is empty: there are no runs to upload")
    if found := no_json(head):
        raise _other(name, *found)
    if large := _large_object(head):
        raise _other(name, *_object(large, 1))
    first = list(islice(values, _FIRST))
    if not first:
        raise ConfigError(f"{name} holds no runs: there is nothing to upload")
    parsed = [_value(piece.data) for piece in first]
    objects = [one for one in parsed if isinstance(one, dict)]
    if not any(map(looks_like_run, objects)) and not _says_run(first):
        raise _other(name, *(_object(objects[0], len(first)) if objects else _no_objects(first, parsed)))


def looks_like_run(value: Any) -> bool:
    """Tell whether an object is meant as a run, complete or not."""
    if not isinstance(value, dict) or (not value.keys() & {"run_type", "start_time"}):
        return False
    foreign = known([value])
    if foreign is not None and "run_type" not in value:
        return False
    return "run_type" in value or bool(value.keys() & {"id", "run_id"})


def _says_run(first: Sequence[Piece]) -> bool:
    """Tell whether something that cannot be read is the beginning of a run."""
    return any(piece.fault and b'"run_type"' in piece.data for piece in first)


def _value(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8", "replace"), strict=False, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None


def _large_object(head: bytes) -> dict[str, Any] | None:
    """Return the keys of an object that goes on behind `head`, if they are none of a run or a list of runs."""
    text = head.removeprefix(BOM).lstrip()
    data = memoryview(text)
    if len(head) < HEAD or not text.startswith(b"{") or end_of(data, last=True) != MORE or list_of_runs(data):
        return None
    keys = [key for key, _ in keys_of(data)]
    return None if not keys or RUN & set(keys) else {key.decode("utf-8", "replace"): None for key in keys}


def _object(one: dict[str, Any], count: int) -> tuple[str, str]:
    if found := known([one]):
        return found
    inside = [
        key for key, value in one.items() if isinstance(value, list) and any(map(looks_like_run, value))
    ]
    advice = f"take its list out with jq: jq .{inside[0]} FILE > runs.json" if inside else ""
    return f"{'an object' if count == 1 else 'objects'} with {_keys(one)}", advice


def _no_objects(first: Sequence[Piece], values: list[Any]) -> tuple[str, str]:
    if first[0].fault:
        return f"what cannot be read ({first[0].fault})", ""
    kinds = {type(value) for value in values}
    names: dict[type, str] = {
        str: "texts or numbers",
        list: "lists",
        bool: "true and false",
        type(None): "null",
    }
    data = first[0].data[:1]
    if kinds == {str}:
        return ("texts" if data == b'"' else "numbers"), ""
    return (names[kinds.pop()] if len(kinds) == 1 else "values of several kinds"), ""


def _keys(one: dict[str, Any]) -> str:
    if not one:
        return "no keys"
    shown = [key if len(key) <= 40 else f"{key[:37]}..." for key in list(one)[:_KEYS]]
    return "the keys " + ", ".join(shown) + (", ..." if len(one) > _KEYS else "")


def _other(name: str, found: str, advice: str) -> DataError:
    hint = f" ({advice})" if advice else ""
    return DataError(f"{name}: {_WANTED}, found {found}{hint}; nothing was sent")
