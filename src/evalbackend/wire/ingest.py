"""From a request's bytes to operations: creates and updates of runs, feedback, attachments."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from evalbackend.errors import HttpError
from evalbackend.http.multipart import Part, parts
from evalbackend.wire.feedback import FeedbackRow, feedback_row
from evalbackend.wire.usage import usage_columns
from evalbackend.wire.values import (
    checked_json,
    json_object,
    now_text,
    optional_text,
    optional_time,
    optional_uuid,
    uuid_text,
)

Kind = Literal["post", "patch"]
RUN_TYPES = frozenset({"tool", "chain", "llm", "retriever", "embedding", "prompt", "parser"})
BIG_FIELDS = ("extra", "inputs", "outputs", "events", "serialized")
_FIELD_TYPES: dict[str, type] = {
    "inputs": dict,
    "outputs": dict,
    "extra": dict,
    "serialized": dict,
    "events": list,
}
_PART_FIELDS = frozenset({*BIG_FIELDS, "error"})


@dataclass(slots=True)
class RunOp:
    """A create ("post") or update ("patch") of a run; `values`: columns of the runs table, as far as said."""

    kind: Kind
    run_id: str
    values: dict[str, Any]
    session_name: str | None

    @property
    def trace_id(self) -> str | None:
        """The root run's id, if this operation or the run's being a root tells it."""
        trace: str | None = self.values.get("trace_id")
        if trace is None and self.kind == "post" and self.values.get("parent_run_id") is None:
            return self.run_id
        return trace


@dataclass(slots=True)
class RunAttachment:
    """A file of a run, by name."""

    run_id: str
    name: str
    mime: str
    data: bytes


@dataclass(slots=True)
class Batch:
    """What one request wants written."""

    ops: list[RunOp] = field(default_factory=list)
    feedback: list[FeedbackRow] = field(default_factory=list)
    attachments: list[RunAttachment] = field(default_factory=list)


@dataclass(slots=True)
class _Draft:
    kind: Kind
    run_id: str
    main: bytes
    fields: dict[str, bytes]


def decode_multipart(body: bytes, boundary: bytes) -> Batch:
    """Return the batch of a POST /runs/multipart; 400 or 422 if any part of it is malformed."""
    batch = Batch()
    drafts: list[_Draft] = []
    latest: dict[tuple[str, str], _Draft] = {}
    for part in parts(body, boundary):
        if not part.mime or part.declared is None:
            raise HttpError(422, f"part {part.name!r} must set Content-Type and Content-Length or length")
        event, _, rest = part.name.partition(".")
        if event in ("post", "patch"):
            _add_run_part(event, rest, part, drafts, latest)  # type: ignore[arg-type]
        elif event == "feedback":
            document = json_object(part.data, part.name)
            batch.feedback.append(feedback_row({**document, "id": document.get("id") or rest}))
        elif event == "attachment":
            batch.attachments.append(_attachment(rest, part))
        else:
            raise HttpError(422, f"part {part.name!r} is not known")
    batch.ops = [_from_draft(draft) for draft in drafts]
    return batch


def _add_run_part(
    kind: Kind, rest: str, part: Part, drafts: list[_Draft], latest: dict[tuple[str, str], _Draft]
) -> None:
    run_id, _, name = rest.partition(".")
    run_id = uuid_text(run_id, f"the run id of part {part.name!r}")
    if not name:
        draft = latest[kind, run_id] = _Draft(kind, run_id, part.data, {})
        drafts.append(draft)
        return
    owner = latest.get((kind, run_id))
    if owner is None:
        raise HttpError(422, f"part {part.name!r} comes before the part of its run")
    if name not in _PART_FIELDS:
        raise HttpError(422, f"part {part.name!r} is not known")
    owner.fields[name] = part.data


def _attachment(rest: str, part: Part) -> RunAttachment:
    run_id, _, name = rest.partition(".")
    if not name:
        raise HttpError(422, f"part {part.name!r} has no attachment name")
    return RunAttachment(uuid_text(run_id, "the run id of an attachment"), name, part.mime, part.data)


def _from_draft(draft: _Draft) -> RunOp:
    what = f"{draft.kind}.{draft.run_id}"
    return run_op(draft.kind, draft.run_id, json_object(draft.main, what), draft.fields)


def run_op(
    kind: Kind, run_id: str, document: dict[str, Any], fields: dict[str, bytes] | None = None
) -> RunOp:
    """Return the operation told by a run's JSON `document` and, apart from it, its raw JSON `fields`."""
    values = _small_values(document)
    raw = dict(fields or {})
    for name in _PART_FIELDS:
        if name not in raw and document.get(name) is not None:
            raw[name] = orjson.dumps(document[name])
    parsed = _big_values(raw, values)
    values.update(usage_columns(parsed.get("outputs"), parsed.get("extra"), parsed.get("events")))
    return _finished(RunOp(kind, run_id, values, optional_text(document.get("session_name"), "session_name")))


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """Return a create as it may stand by itself with the id and start that it leaves to the server.

    What it tells of them elsewhere is kept to: a dotted_order ends in both. A run that begins a trace has
    the trace's id.
    """
    place = optional_text(document.get("dotted_order"), "dotted_order") or ""
    stamp, known = _PLACE.fullmatch(place.rpartition(".")[2]), document.get("id")
    if known is None and document.get("parent_run_id") is None:
        known = document.get("trace_id")
    if known is None:
        known = stamp[8] if stamp else str(uuid.uuid4())
    start = document.get("start_time")
    if start is None and stamp is not None:
        year, month, day, hour, minute, second, rest = stamp.groups()[:7]
        start = f"{year}-{month}-{day}T{hour}:{minute}:{second}.{rest}Z"
    return {**document, "id": uuid_text(known, "id"), "start_time": now_text() if start is None else start}


_PLACE = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{6})Z?([0-9a-f-]{36})", re.IGNORECASE)
_SMALL: tuple[tuple[str, Callable[[object, str], str | None]], ...] = (
    ("session_id", optional_uuid),
    ("trace_id", optional_uuid),
    ("parent_run_id", optional_uuid),
    ("reference_example_id", optional_uuid),
    ("dotted_order", optional_text),
    ("name", optional_text),
    ("run_type", optional_text),
    ("start_time", optional_time),
    ("end_time", optional_time),
)


def _small_values(document: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, read in _SMALL:
        value = read(document.get(name), name)
        if value is not None:
            values[name] = value
    if "run_type" in values and values["run_type"] not in RUN_TYPES:
        raise HttpError(422, f"run_type {values['run_type']!r} is not one of {', '.join(sorted(RUN_TYPES))}")
    tags = document.get("tags")
    if tags is not None:
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise HttpError(422, "tags must be a list of strings")
        values["tags"] = orjson.dumps(tags).decode()
    return values


def _big_values(raw: dict[str, bytes], values: dict[str, Any]) -> dict[str, Any]:
    """Check each raw field, put it into `values`, and return the parsed ones that may tell usage."""
    parsed: dict[str, Any] = {}
    for name, data in raw.items():
        checked, value = checked_json(data, name)
        if value is None:
            continue
        if name == "error":
            values["error"] = value if isinstance(value, str) else checked.decode()
            continue
        if not isinstance(value, _FIELD_TYPES[name]):
            raise HttpError(422, f"{name} must be a JSON {'array' if name == 'events' else 'object'}")
        values[name] = checked
        parsed[name] = value
    return parsed


def _finished(op: RunOp) -> RunOp:
    values = op.values
    if op.kind == "post":
        if "name" not in values or "run_type" not in values or "start_time" not in values:
            raise HttpError(422, f"run {op.run_id} must have name, run_type and start_time")
        if "trace_id" not in values and "dotted_order" in values:
            values["trace_id"] = uuid_text(
                values["dotted_order"].partition(".")[0][-36:], "the root of dotted_order"
            )
    return op
