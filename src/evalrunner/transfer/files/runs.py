"""One recorded run out of its JSON: ids, times and type are read, everything else stays the bytes that it is."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
from msgspec import Raw

from evalrunner.transfer.files.broken import known_of
from evalrunner.transfer.files.fields import ABSENT, FieldError, kind_of, moment, objects, payload, tags, text
from evalrunner.transfer.files.parts import attachments, extra_of, feedback, inputs_or_outputs

#: The service's types of runs.
RunType = Literal["tool", "chain", "llm", "retriever", "embedding", "prompt", "parser"]
RUN_TYPES = frozenset(get_args(RunType))
#: The SDK's name for a run that has none (langsmith/run_trees.py, `RunTree.infer_defaults`).
UNNAMED = "Unnamed"


class RecordedRun(msgspec.Struct, frozen=True, gc=False):
    """A run as it stands in a file.

    Attributes:
        id, trace, parent: the source's ids as text, whatever they look like; a number 7 is "7".
        name, run_type: the type is one of the service's.
        start, end: microseconds since the epoch, UTC; no end of a run that has not ended.
        example: its reference_example_id.
        inputs, outputs, extra, serialized: the bytes of a JSON object; None if absent or null, as all below.
        error: the bytes of a JSON text.
        tags: of a list of texts.
        events: of a list of objects.
        attachments: of an object: name -> {"mime_type", "data" in base64}.
        feedback: of a list of objects, each with a key.
    """

    id: str
    trace: str | None
    parent: str | None
    name: str
    run_type: str
    start: int
    end: int | None
    example: str | None
    inputs: bytes | None
    outputs: bytes | None
    error: bytes | None
    extra: bytes | None
    tags: bytes | None
    events: bytes | None
    serialized: bytes | None
    attachments: bytes | None
    feedback: bytes | None


class Fields(msgspec.Struct):
    """The fields of a run that are looked at; the service derives the others (status, dotted_order, totals)."""

    id: Raw = ABSENT
    run_id: Raw = ABSENT
    trace_id: Raw = ABSENT
    parent_run_id: Raw = ABSENT
    name: Raw = ABSENT
    run_type: Raw = ABSENT
    start_time: Raw = ABSENT
    end_time: Raw = ABSENT
    reference_example_id: Raw = ABSENT
    inputs: Raw = ABSENT
    outputs: Raw = ABSENT
    error: Raw = ABSENT
    extra: Raw = ABSENT
    metadata: Raw = ABSENT
    custom_metadata: Raw = ABSENT
    tags: Raw = ABSENT
    events: Raw = ABSENT
    serialized: Raw = ABSENT
    attachments: Raw = ABSENT
    feedback: Raw = ABSENT
    child_runs: Raw = ABSENT
    inputs_s3_urls: Raw = ABSENT
    outputs_s3_urls: Raw = ABSENT
    s3_urls: Raw = ABSENT


_decode = msgspec.json.Decoder(Fields).decode


def read_run(data: bytes, fault: str | None = None) -> RecordedRun:
    """Read a run.

    Args:
        data: its JSON.
        fault: what is wrong with it already, as its `Element` says.

    Raises:
        BrokenRun: it cannot be one; with its ids, as far as they can be told.
    """
    if fault is not None:
        raise known_of(data, fault)
    try:
        return _run(_decode(data))
    except FieldError as error:
        why = str(error)
    except msgspec.DecodeError:
        why = f"not a run but {kind_of(data)}" if data[:1] != b"{" else "not JSON"
    except RecursionError:
        why = "nested too deep"
    raise known_of(data, why)


def _run(given: Fields) -> RecordedRun:
    found = text("id", given.id) or text("run_id", given.run_id)
    if found is None:
        raise FieldError("no id")
    start, end = moment("start_time", given.start_time), moment("end_time", given.end_time)
    if start is None:
        raise FieldError("no start_time")
    if end is not None and end < start:
        raise FieldError("its end_time is before its start_time")
    if payload("child_runs", given.child_runs, "list") not in (None, b"[]"):
        raise FieldError("it has other runs inside of it (child_runs): each must stand in the file by itself")
    return RecordedRun(
        id=found,
        trace=text("trace_id", given.trace_id),
        parent=text("parent_run_id", given.parent_run_id),
        name=text("name", given.name) or UNNAMED,
        run_type=_run_type(given.run_type),
        start=start,
        end=end,
        example=text("reference_example_id", given.reference_example_id),
        inputs=inputs_or_outputs("inputs", given.inputs, given.inputs_s3_urls, given.s3_urls),
        outputs=inputs_or_outputs("outputs", given.outputs, given.outputs_s3_urls, given.s3_urls),
        error=payload("error", given.error, "text"),
        extra=extra_of(given.extra, given.metadata, given.custom_metadata),
        tags=tags(given.tags),
        events=objects("events", given.events),
        serialized=payload("serialized", given.serialized, "object"),
        attachments=attachments(given.attachments, given.s3_urls),
        feedback=feedback(given.feedback),
    )


def _run_type(raw: Raw) -> str:
    found = text("run_type", raw)
    if found is None:
        raise FieldError("no run_type")
    if found not in RUN_TYPES:
        raise FieldError(
            f"its run_type {found[:40]!r} is none of the service's ({', '.join(sorted(RUN_TYPES))})"
        )
    return found
