"""Reading a run a second time: it has been judged, so that what is left is to take it apart, in one pass of C."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from evalrunner.transfer.files.runs import RecordedRun, read_run
from evalrunner.transfer.upload.index import Row

_NULL = Raw(b"null")


class _Plain(msgspec.Struct, gc=False):
    """A run as most files have it: its id and name are texts, its metadata stands in `extra`."""

    id: str
    name: str
    run_type: str
    inputs: Raw = _NULL
    outputs: Raw = _NULL
    error: Raw = _NULL
    extra: Raw = _NULL
    tags: Raw = _NULL
    events: Raw = _NULL
    serialized: Raw = _NULL
    attachments: Raw = _NULL
    feedback: Raw = _NULL
    metadata: None = None
    custom_metadata: None = None


_decode = msgspec.json.Decoder(_Plain).decode


def again(row: Row, data: bytes) -> RecordedRun:
    """Read a sound run once more.

    Args:
        row: what the index says of it.
        data: its bytes.

    Raises:
        BrokenRun: they are not what they were.
    """
    assert row.start is not None, "it is sound"
    try:
        plain = _decode(data)
    except msgspec.MsgspecError:
        return read_run(data)
    if not plain.name:
        return read_run(data)
    return RecordedRun(
        plain.id,
        row.trace,
        row.parent,
        plain.name,
        plain.run_type,
        row.start,
        row.finish,
        None,
        _given(plain.inputs),
        _given(plain.outputs),
        _given(plain.error),
        _given(plain.extra),
        _given(plain.tags),
        _given(plain.events),
        _given(plain.serialized),
        _given(plain.attachments),
        _given(plain.feedback),
    )


def _given(raw: Raw) -> bytes | None:
    data = bytes(raw)
    return None if data == b"null" else data
