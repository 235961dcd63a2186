"""Runs as most files have them, read in one pass of C; every other one is for `read_run`.

What is accepted here, `read_run` accepts, and reads the same from it: the types below say what it checks field by
field. Who changes one changes the other (tests/unit/test_recorded_quick.py compares them).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from evalrunner.transfer.files.runs import RunType
from evalrunner.transfer.files.times import read_moment


class _Object(msgspec.Struct, gc=False):
    """Any object: its contents are passed over."""


_Nothing = Annotated[dict[str, Raw], Meta(max_length=0)] | None
_NULL = Raw(b"null")
_NONE = (b"null", b"[]")


class _Plain(msgspec.Struct, gc=False):
    id: Annotated[str, Meta(min_length=1)]
    run_type: RunType
    start_time: str
    end_time: str | None = None
    trace_id: str | None = None
    parent_run_id: str | None = None
    name: str | None = None
    reference_example_id: str | None = None
    inputs: _Object | None = None
    outputs: _Object | None = None
    error: str | None = None
    extra: _Object | None = None
    tags: list[str] | None = None
    events: list[_Object] | None = None
    serialized: _Object | None = None
    child_runs: Raw = _NULL
    metadata: _Nothing = None
    custom_metadata: _Nothing = None
    attachments: _Nothing = None
    inputs_s3_urls: _Nothing = None
    outputs_s3_urls: _Nothing = None
    s3_urls: _Nothing = None
    feedback: None = None
    runs: None = None  # what has a list of that name may be no run, but stand for those in it


_decode = msgspec.json.Decoder(_Plain).decode


class Told(msgspec.Struct, frozen=True, gc=False):
    """What of a run is told by its file, as in `RecordedRun`; it has neither attachments nor feedback."""

    id: str
    trace: str | None
    parent: str | None
    start: int
    end: int | None
    example: bool


def told(data: Raw) -> Told | None:
    """Read a run that is nothing special, or return None.

    Args:
        data: sound JSON.
    """
    try:
        plain = _decode(data)
        start = read_moment(plain.start_time)
        end = None if plain.end_time is None else read_moment(plain.end_time)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if (end is not None and end < start) or (
        plain.child_runs is not _NULL and bytes(plain.child_runs) not in _NONE
    ):
        return None
    return Told(
        plain.id,
        plain.trace_id or None,
        plain.parent_run_id or None,
        start,
        end,
        bool(plain.reference_example_id),
    )
