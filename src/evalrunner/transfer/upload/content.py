"""Comparing what came back with what was sent, field by field: ids alone do not see a doubled token. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import orjson

from evalrunner.transfer.files.runs import RecordedRun
from evalrunner.transfer.files.times import read_moment
from evalrunner.transfer.remote.reads import Feedback, Run, value_of
from evalrunner.transfer.upload.moments import moment
from evalrunner.transfer.upload.rewrite import Placed, events

#: Values that travel as parts of their own, or of the first one (tags).
_VALUES = ("inputs", "outputs", "error", "extra", "tags", "serialized")
_RATING = ("key", "score", "value", "comment", "correction")
#: What the hosted service writes into a run's metadata by itself.
_ADDED = frozenset({"ls_run_depth"})
_EMPTY: tuple[Any, ...] = (None, {}, [])
Difference = tuple[str, Any, Any]
"""Field, what was sent, what came back."""


def of_run(placed: Placed, run: RecordedRun, found: Run, apart: Mapping[str, bytes]) -> Iterator[Difference]:
    """Return what of a run is not as it was sent.

    Args:
        found: as the destination gives it.
        apart: values of it that were behind addresses.
    """
    for name, sent in _sent(placed, run).items():
        came = _came(found, name, apart)
        if not (sent in _EMPTY and came in _EMPTY) and not same(sent, came):
            yield name, sent, came


def _sent(placed: Placed, run: RecordedRun) -> dict[str, Any]:
    return {
        "trace_id": placed.trace,
        "parent_run_id": placed.parent,
        "dotted_order": placed.order,
        "name": run.name,
        "run_type": run.run_type,
        "start_time": placed.start,
        "end_time": None if run.end is None else run.end + placed.moved,
        "events": None if run.events is None else parse(events(run.events, placed.moved)),
        **{name: None if (data := getattr(run, name)) is None else parse(data) for name in _VALUES},
    }


def _came(found: Run, name: str, apart: Mapping[str, bytes]) -> Any:
    if name in ("start_time", "end_time"):
        told = getattr(found, name)
        return None if told is None else read_moment(told)
    if name == "parent_run_id":
        return found.parent
    if name == "run_type":
        return found.run_type.lower()
    if name in ("trace_id", "dotted_order"):
        return getattr(found, name)
    value = parse(apart.get(name) or value_of(found, name))
    if name == "events" and isinstance(value, list):
        return [_with_time(one) for one in value]
    return _without_added(value) if name == "extra" and isinstance(value, dict) else value


def _with_time(event: Any) -> Any:
    """Return an event with its time written as we write it: services have ways of their own."""
    if not isinstance(event, dict) or not isinstance(event.get("time"), (str, int)):
        return event
    try:
        return {**event, "time": moment(read_moment(event["time"]))}
    except (ValueError, OverflowError):
        return event


def _without_added(extra: dict[str, Any]) -> dict[str, Any]:
    metadata = extra.get("metadata")
    if not isinstance(metadata, dict):
        return extra
    return {**extra, "metadata": {key: value for key, value in metadata.items() if key not in _ADDED}}


def of_scores(sent: Iterable[tuple[str, bytes]], found: Mapping[str, Feedback]) -> Iterator[Difference]:
    """Return what of a run's feedback is not as it was sent: only what was said is compared.

    Args:
        sent: id and body of each.
    """
    for score, body in sent:
        told = parse(body)
        for name in (name for name in _RATING if told.get(name) is not None):
            came = parse(bytes(getattr(found[score], name))) if score in found else None
            if not same(told[name], came):
                yield f"feedback {told['key']!r}, {name}", told[name], came


def of_attachments(
    sent: Iterable[tuple[str, str, bytes]], found: Mapping[str, bytes]
) -> Iterator[Difference]:
    """Return which of a run's attachments are not as they were sent."""
    left = dict(found)
    for name, _, data in sent:
        came = left.pop(name, None)
        if came != data:
            yield (
                f"attachment {name!r}",
                f"{len(data):,} bytes",
                None if came is None else f"{len(came):,} others",
            )
    for name in left:
        yield f"attachment {name!r}", None, "there"


def parse(data: bytes) -> Any:
    """Read JSON without losing a digit; a fraction is a Decimal, equal to a whole number of the same value."""
    return json.loads(data, parse_float=Decimal)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values say the same; true is no 1, and 1.0 is one."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return _kind(one) == _kind(other) and bool(one == other)


def _kind(value: Any) -> str:
    number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    return "number" if number else type(value).__name__


def said(difference: Difference) -> str:
    """Say a difference."""
    name, sent, came = difference
    return f"{name}: sent {_short(sent)}, came back {_short(came)}"


def _short(value: Any) -> str:
    try:
        text = orjson.dumps(value, default=str).decode()
    except (TypeError, orjson.JSONEncodeError):  # 2**70
        text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text):,} characters)"
