"""Examples as they are sent: multipart on the platform endpoint, JSON on the legacy ones."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.http.multipart import Part, parts
from evalbackend.wire.values import checked_json, json_object, optional_time, optional_uuid, uuid_text


@dataclass(slots=True)
class ExampleWrite:
    """What one example is to become; None means "not said"."""

    id: str
    created_at: str | None = None
    metadata: dict[str, Any] | None = None
    split: list[str] | None = None
    inputs: bytes | None = None
    outputs: bytes | None = None
    source_run_id: str | None = None
    use_source_run_io: bool = False
    use_source_run_attachments: list[str] = field(default_factory=list)
    attachments: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    rename: dict[str, str] | None = None
    retain: list[str] | None = None
    dataset_id: str | None = None

    @property
    def replaces_attachments(self) -> bool:
        """Whether the set of attachments is said anew: what is then not retained is dropped."""
        return bool(self.attachments) or self.rename is not None


def decode_examples(body: bytes, boundary: bytes) -> list[ExampleWrite]:
    """Return the examples of a multipart body in order; 400 or 422 if any part of it is malformed."""
    writes: dict[str, ExampleWrite] = {}
    for part in parts(body, boundary):
        name, _, rest = part.name.partition(".")
        example_id = uuid_text(name, f"the example id of part {part.name!r}")
        if not rest:
            writes[example_id] = example_write(json_object(part.data, part.name), example_id)
        elif example_id not in writes:
            raise HttpError(422, f"part {part.name!r} comes before the part of its example")
        else:
            _add_field(writes[example_id], rest, part)
    return list(writes.values())


def _add_field(write: ExampleWrite, rest: str, part: Part) -> None:
    if rest == "inputs":
        write.inputs = _object(part)
    elif rest == "outputs":
        write.outputs = _object(part)
    elif rest == "attachments_operations":
        _add_operations(write, json_object(part.data, part.name))
    elif rest.startswith("attachment."):
        write.attachments[rest.removeprefix("attachment.")] = (
            part.mime or "application/octet-stream",
            part.data,
        )
    else:
        raise HttpError(422, f"part {part.name!r} is not known")


def _add_operations(write: ExampleWrite, operations: Any) -> None:
    if not isinstance(operations, dict):
        raise HttpError(422, "attachments_operations must be a JSON object")
    rename = {} if operations.get("rename") is None else operations["rename"]
    if not isinstance(rename, dict) or not all(isinstance(new, str) for new in rename.values()):
        raise HttpError(422, "attachments_operations: rename must map names to names")
    retain = _names(operations.get("retain"), "retain") or []
    _check_names(rename, retain)
    write.rename, write.retain = rename, retain


def _check_names(rename: dict[str, str], retain: list[str]) -> None:
    """Refuse what would lose an attachment: two under one name, or one under two, of which the service keeps none."""
    if both := sorted(rename.keys() & set(retain)):
        raise HttpError(422, f"attachments_operations: {both[0]!r} is to be both renamed and retained")
    names = [*retain, *rename.values()]
    if twice := sorted({name for name in rename.values() if names.count(name) > 1}):
        raise HttpError(422, f"attachments_operations: two attachments would be called {twice[0]!r}")


def _object(part: Part) -> bytes:
    raw, value = checked_json(part.data, part.name)
    if not isinstance(value, dict):
        raise HttpError(422, f"part {part.name!r} must be a JSON object")
    return raw


def example_write(document: dict[str, Any], example_id: str | None = None) -> ExampleWrite:
    """Return the write told by a JSON document; without an id, it gets one."""
    metadata = document.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise HttpError(422, "metadata must be a JSON object")
    write = ExampleWrite(
        id=example_id or uuid_text(document.get("id") or str(uuid.uuid4()), "id"),
        created_at=optional_time(document.get("created_at"), "created_at"),
        metadata=metadata,
        split=_names(document.get("split"), "split"),
        inputs=_raw(document.get("inputs"), "inputs"),
        outputs=_raw(document.get("outputs"), "outputs"),
        source_run_id=optional_uuid(document.get("source_run_id"), "source_run_id"),
        use_source_run_io=bool(document.get("use_source_run_io")),
        use_source_run_attachments=_names(
            document.get("use_source_run_attachments"), "use_source_run_attachments"
        )
        or [],
        dataset_id=optional_uuid(document.get("dataset_id"), "dataset_id"),
    )
    if document.get("attachments_operations") is not None:
        _add_operations(write, document["attachments_operations"])
    return write


def _raw(value: Any, what: str) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise HttpError(422, f"{what} must be a JSON object")
    return orjson.dumps(value)


def _names(value: Any, what: str) -> list[str] | None:
    if value is None:
        return None
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return names
    raise HttpError(422, f"{what} must be a string or a list of strings")
