"""A CSV file sent as a form: what dataset it is to become, and its examples."""

from __future__ import annotations

import csv
import io
import uuid
from dataclasses import dataclass, field
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.http.multipart import parts
from evalbackend.wire.examples import ExampleWrite
from evalbackend.wire.values import later_than, now_text

_LISTS = ("input_keys", "output_keys", "metadata_keys")
# The whole body is limited elsewhere; a single cell may be as long as that allows.
csv.field_size_limit(2**31 - 1)


@dataclass(slots=True)
class CsvForm:
    """The fields of the form; the keys name columns."""

    fields: dict[str, str] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in _LISTS})
    file: bytes | None = None

    def dataset(self) -> dict[str, Any]:
        """Return the body of the dataset's creation."""
        known = ("id", "name", "description", "data_type")
        return {name: value for name, value in self.fields.items() if name in known}


def decode_form(body: bytes, boundary: bytes) -> CsvForm:
    """Return the form of a multipart body; 422 if the file, or its input columns, are missing."""
    form = CsvForm()
    for part in parts(body, boundary):
        if part.name == "file":
            form.file = part.data
            form.fields.setdefault("name", part.filename or "untitled")
        elif part.name in form.keys:
            form.keys[part.name].append(_text(part.data, part.name))
        else:
            form.fields[part.name] = _text(part.data, part.name)
    if form.file is None or not form.keys["input_keys"]:
        raise HttpError(422, "the form must have a file and input_keys")
    return form


def examples(form: CsvForm) -> list[ExampleWrite]:
    """Return the example of each row, in order; 422 if the table is not whole. All values are text."""
    reader = csv.reader(io.StringIO(_text(form.file or b"", "the file"), newline=""), strict=True)
    try:
        header = next(reader, [])
        _check_header(header, [key for keys in form.keys.values() for key in keys])
        found = [_example(header, row, reader.line_num, form.keys) for row in reader if row]
    except csv.Error as error:
        raise HttpError(422, f"the file is not CSV at line {reader.line_num}: {error}") from error
    _put_in_order(found)
    return found


def _put_in_order(found: list[ExampleWrite]) -> None:
    # Examples are listed by the time of their creation: a microsecond each keeps the order of the rows.
    stamp = now_text()
    for one in found:
        one.created_at = stamp
        stamp = later_than(stamp)


def _check_header(header: list[str], wanted: list[str]) -> None:
    missing = [key for key in wanted if key not in header]
    if missing:
        raise HttpError(422, f"the file has no column {', '.join(map(repr, missing))}")
    if len(set(header)) < len(header):
        raise HttpError(422, "the file has two columns of one name")


def _example(header: list[str], row: list[str], line: int, keys: dict[str, list[str]]) -> ExampleWrite:
    if len(row) != len(header):
        raise HttpError(422, f"line {line} has {len(row)} values for {len(header)} columns")
    cells = dict(zip(header, row, strict=True))
    inputs, outputs, metadata = ({key: cells[key] for key in keys[name]} for name in _LISTS)
    return ExampleWrite(
        str(uuid.uuid4()),
        inputs=orjson.dumps(inputs),
        outputs=orjson.dumps(outputs) if outputs else None,
        metadata=metadata or None,
    )


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise HttpError(422, f"{what} is not UTF-8") from None
