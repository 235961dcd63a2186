"""Comparing what came back with what was sent, field by field: ids alone do not see a doubled token. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from evalrunner.upload.files.runs import RecordedRun
from evalrunner.upload.files.times import read_moment
from evalrunner.upload.recorded.rewrite import Placed, events, moment

#: What is asked for.
FIELDS = ("trace_id", "parent_run_id", "dotted_order", "name", "run_type", "start_time", "end_time", "inputs",
          "outputs", "error", "extra", "tags", "events", "serialized", "s3_urls")  # fmt: skip
#: What the hosted service writes into a run's metadata by itself.
_ADDED = frozenset({"ls_run_depth"})
_EMPTY: tuple[Any, ...] = (None, {}, [])


def differences(placed: Placed, run: RecordedRun, found: dict[str, Any]) -> Iterator[str]:
    """Say what of a run is not as it was sent.

    Args:
        found: as the destination answers, numbers as `parse` reads them.
    """
    for name, wanted in _wanted(placed, run).items():
        came = _came(name, found.get(name))
        if not (wanted in _EMPTY and came in _EMPTY) and not _same(wanted, came):
            yield f"{name}: sent {_short(wanted)}, came back {_short(came)}"


def parse(data: bytes | str) -> Any:
    """Read JSON without losing a digit; a fraction is a Decimal, equal to a whole number of the same value."""
    return json.loads(data, parse_float=Decimal)


def _wanted(placed: Placed, run: RecordedRun) -> dict[str, Any]:
    apart = {
        name: None if (data := getattr(run, name)) is None else parse(data)
        for name in ("inputs", "outputs", "error", "extra", "tags", "serialized")
    }
    return {
        "trace_id": placed.trace,
        "parent_run_id": placed.parent,
        "dotted_order": placed.order,
        "name": run.name,
        "run_type": run.run_type,
        "start_time": placed.start,
        "end_time": None if run.end is None else run.end + placed.moved,
        "events": None if run.events is None else parse(events(run.events, placed.moved)),
        **apart,
    }


def _came(name: str, value: Any) -> Any:
    if name in ("start_time", "end_time") and value is not None:
        return read_moment(value)
    if name == "extra" and isinstance(value, dict):
        return _without_added(value)
    if name == "events" and isinstance(value, list):
        return [_with_time(one) for one in value]
    return value


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
    kept = {key: value for key, value in metadata.items() if key not in _ADDED}
    return {**{key: value for key, value in extra.items() if key != "metadata"}, "metadata": kept}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if _type(one) != _type(other):
        return False
    # What the SDK reads of an answer is a double already.
    return float(one) == float(other) if float in (type(one), type(other)) else bool(one == other)


def _type(value: Any) -> str:
    """Tell kinds of JSON values apart; true is no 1, and 1.0 is one."""
    return (
        "number"
        if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
        else type(value).__name__
    )


def _short(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text):,} characters)"
