"""One run as one line of the file, in the form that `evalrunner upload` reads; piece by piece, values untouched.

{"id", "trace_id", "parent_run_id", "name", "run_type", "start_time", "end_time", "inputs", "outputs", "error",
 "extra", "tags", "events", "serialized", "reference_example_id",
 "attachments": {NAME: {"mime_type", "data": BASE64}}, "feedback": [{"id", "key", "score", ...}]}
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import IO

import msgspec

from evalrunner.transfer.remote.reads import Feedback, Run, value_of

#: Bytes of an attachment that are encoded at once; three of them make four characters.
_CHUNK = 3 << 16
_APART = ("inputs", "outputs", "error", "extra", "tags", "events", "serialized")
_RATINGS = ("key", "score", "value", "comment", "correction", "feedback_source", "extra")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)


def text(value: str | None) -> bytes:
    """Return a text as JSON."""
    return msgspec.json.encode(value)


def one_line(raw: bytes) -> bytes:
    """Return JSON without line breaks: those that are allowed in it stand between its words."""
    return raw.replace(b"\r", b" ").replace(b"\n", b" ")


def moment(told: str | None) -> str | None:
    """Return a time of the service (UTC where it has no zone) with microseconds and `+00:00`.

    What is no time is left as it is: whoever reads the file names it.
    """
    found = _TIME.fullmatch(told.strip()) if told else None
    if found is None:
        return told
    day, clock, fraction, zone = found.groups()
    try:
        at = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6].ljust(6, '0')}") - _offset(zone)
    except (ValueError, OverflowError):
        return told
    return at.replace(tzinfo=timezone.utc).isoformat(timespec="microseconds")


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone in "Zz":
        return timedelta()
    digits = zone[1:].replace(":", "")
    away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -away if zone[0] == "-" else away


def feedback_bytes(row: Feedback) -> bytes:
    """Return a feedback as it stands in a run's line."""
    fields = [b'"id":' + text(row.id)]
    fields += [f'"{name}":'.encode() + one_line(bytes(getattr(row, name))) for name in _RATINGS]
    fields += [
        f'"{name}":'.encode() + text(moment(getattr(row, name))) for name in ("created_at", "modified_at")
    ]
    return b"{" + b",".join(fields) + b"}"


def line(
    run: Run,
    apart: Mapping[str, bytes],
    files: Iterable[tuple[str, str, IO[bytes]]],
    feedback: Iterable[bytes],
) -> Iterator[bytes]:
    """Return a run's line.

    Args:
        apart: values that were fetched from elsewhere, by field.
        files: its attachments: name, type, bytes; each is closed when it has been encoded.
        feedback: as `feedback_bytes` returns it.
    """
    yield b'{"id":%b,"trace_id":%b,"parent_run_id":%b' % (text(run.id), text(run.trace_id), text(run.parent))
    yield b',"name":%b,"run_type":%b' % (one_line(bytes(run.name)), text(run.run_type.lower()))
    yield b',"start_time":%b,"end_time":%b' % (text(moment(run.start_time)), text(moment(run.end_time)))
    for name in _APART:
        yield f',"{name}":'.encode() + one_line(apart.get(name) or value_of(run, name))
    yield b',"reference_example_id":' + bytes(run.reference_example_id)
    yield from _attachments(files)
    rows = list(feedback)
    yield b',"feedback":' + (b"[" + b",".join(rows) + b"]" if rows else b"null") + b"}\n"


def _attachments(files: Iterable[tuple[str, str, IO[bytes]]]) -> Iterator[bytes]:
    yield b',"attachments":'
    before = b"{"
    for name, mime, data in files:
        yield before + b'%b:{"mime_type":%b,"data":"' % (text(name), text(mime))
        with data:
            while chunk := data.read(_CHUNK):
                yield base64.b64encode(chunk)
        yield b'"}'
        before = b","
    yield b"null" if before == b"{" else b"}"
