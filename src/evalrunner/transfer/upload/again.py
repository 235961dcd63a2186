"""Reading a run a second time: it has been judged, so that what is left is to take it apart, in one pass of C."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from evalrunner.transfer.files.runs import RecordedRun, read_run
from evalrunner.transfer.upload.index import Row

NULL = Raw(b"null")


class Plain(msgspec.Struct, gc=False):
    """A run as most files have it: its id and name are texts, its metadata stands in `extra`."""

    id: str
    name: str
    run_type: str
    inputs: Raw = NULL
    outputs: Raw = NULL
    error: Raw = NULL
    extra: Raw = NULL
    tags: Raw = NULL
    events: Raw = NULL
    serialized: Raw = NULL
    attachments: Raw = NULL
    feedback: Raw = NULL
    metadata: None = None
    custom_metadata: None = None


plain = msgspec.json.Decoder(Plain).decode


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
        run = plain(data)
    except msgspec.MsgspecError:
        return read_run(data)
    if not run.id or not run.name:
        return read_run(data)
    return RecordedRun(
        run.id,
        row.trace,
        row.parent,
        run.name,
        run.run_type,
        row.start,
        row.finish,
        None,
        _given(run.inputs),
        _given(run.outputs),
        _given(run.error),
        _given(run.extra),
        _given(run.tags),
        _given(run.events),
        _given(run.serialized),
        _given(run.attachments),
        _given(run.feedback),
    )


def _given(raw: Raw) -> bytes | None:
    data = bytes(raw)
    return None if data == b"null" else data
