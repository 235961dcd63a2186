"""From a run of a file to the parts of the request that creates its copy. Pure.

Ids, times and the time of an event are new. All else is the bytes of the file: a value that is decoded and
encoded again is another one (1.0, 2**70, the order of keys). A child gets nothing from its parents but its place.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
import orjson

from evalrunner.delivery.spool.record import JSON, Operation, Part
from evalrunner.transfer.files.runs import RecordedRun
from evalrunner.transfer.files.times import read_moment
from evalrunner.transfer.upload.identity import run_id, score_id
from evalrunner.transfer.upload.index import Row, Tree
from evalrunner.transfer.upload.moments import moment, segment
from evalrunner.transfer.upload.shift import Shift

#: What the service takes as a part of its own.
APART = ("extra", "inputs", "outputs", "events", "error", "serialized")
#: Of a feedback, as `download` writes it: what names its place is made anew.
_PLACED = (
    "id",
    "run_id",
    "trace_id",
    "session_id",
    "start_time",
    "feedback_group_id",
    "comparative_experiment_id",
)
_MOVED = ("created_at", "modified_at")
Raws = dict[str, msgspec.Raw]
_objects = msgspec.json.Decoder(list[Raws])
_files = msgspec.json.Decoder(dict[str, dict[str, str]])


class Unfit(Exception):
    """A part of a run has not the form that it must have."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """Where a run of the input goes.

    Attributes:
        row: of the input.
        id, parent, trace: new.
        moved: by how many microseconds.
        order: its place in its trace (`dotted_order`).
    """

    row: Row
    id: str
    parent: str | None
    trace: str
    moved: int
    order: str

    @property
    def start(self) -> int:
        """When it begins, moved."""
        return (self.row.start or 0) + self.moved


def place(project: str, shift: Shift, tree: Tree, rows: Iterable[Row]) -> list[Placed]:
    """Name and place the runs of a sound trace.

    Args:
        rows: parents before children.
    """
    placed: dict[str, Placed] = {}
    moved = shift.of(tree.start)
    for row in rows:
        assert row.id is not None, "its trace is sound"
        assert row.start is not None, "its trace is sound"
        new = run_id(project, tree.key, row.id, row.start + moved)
        above = placed[row.parent] if row.parent is not None else None
        own = segment(row.start + moved, new)
        placed[row.id] = Placed(
            row,
            new,
            above.id if above else None,
            above.trace if above else new,
            moved,
            f"{above.order}.{own}" if above else own,
        )
    return list(placed.values())


def operations(
    project: str, name: bytes, placed: Placed, run: RecordedRun, kind: Literal["post", "patch"] = "post"
) -> Iterator[Operation]:
    """Return what creates a run and its feedback.

    Args:
        project, name: of the project there; the name as JSON.
        placed: where it goes.
        run: as the file has it.
        kind: "patch" if it is there already, without its end.

    Raises:
        Unfit: attachments or feedback are malformed.
    """
    text = placed.id
    end = None if run.end is None else run.end + placed.moved
    first = main(project, name, placed, run.run_type, run.name, end, run.tags)
    parts: list[Part] = [(f"{kind}.{text}", JSON, first)]
    for field in APART:
        data: bytes | None = getattr(run, field)
        if data is not None:
            parts.append(
                (f"{kind}.{text}.{field}", JSON, events(data, placed.moved) if field == "events" else data)
            )
    parts += [(f"attachment.{text}.{one}", mime, data) for one, mime, data in attachments(run)]
    yield kind, text, parts
    for score, body in scores(project, placed, run):
        yield "feedback", score, [(f"feedback.{score}", JSON, body)]


def main(
    project: str,
    name: bytes,
    placed: Placed,
    run_type: str,
    run: str,
    ended: int | None,
    tags: bytes | msgspec.Raw | None,
) -> bytes:
    """Write what stands in the first part; ids, times and types need no escapes.

    Args:
        run: its name.
        ended: when, moved.
    """
    parent = "" if placed.parent is None else f'"parent_run_id":"{placed.parent}",'
    end = "" if ended is None else f'"end_time":"{moment(ended)}",'
    head = (
        f'{{"id":"{placed.id}","trace_id":"{placed.trace}",{parent}"dotted_order":"{placed.order}",'
        f'"session_id":"{project}","run_type":"{run_type}","start_time":"{moment(placed.start)}",{end}"name":'
    )
    if tags is None:
        return b"".join((head.encode(), orjson.dumps(run), b',"session_name":', name, b"}"))
    return b"".join((head.encode(), orjson.dumps(run), b',"session_name":', name, b',"tags":', tags, b"}"))


def events(data: bytes, moved: int) -> bytes:
    """Return a run's events with their times moved, and not another byte changed of their values."""
    return b"[" + b",".join(moved_in(one, ("time",), moved) for one in _objects.decode(data)) + b"]"


def moved_in(one: Raws, names: tuple[str, ...], moved: int) -> bytes:
    """Return an object with the times of these names moved."""
    for name in names:
        if (raw := one.get(name)) is not None and (new := _later(bytes(raw), moved)) is not None:
            one[name] = msgspec.Raw(new)
    return join(one)


def _later(raw: bytes, moved: int) -> bytes | None:
    """Return a time, moved; None for what is none: whoever wrote an event may write there what he likes."""
    try:
        return orjson.dumps(moment(read_moment(orjson.loads(raw)) + moved))
    except (ValueError, OverflowError):
        return None


def join(one: Raws) -> bytes:
    """Return an object of which every value is given as it is written."""
    return b"{" + b",".join(orjson.dumps(key) + b":" + bytes(value) for key, value in one.items()) + b"}"


def attachments(run: RecordedRun) -> Iterator[tuple[str, str, bytes]]:
    """Return a run's files: name, type, bytes.

    Raises:
        Unfit: they are not in the form that `download` writes.
    """
    if run.attachments is None:
        return
    try:
        for name, one in _files.decode(run.attachments).items():
            yield (
                name,
                one.get("mime_type", "application/octet-stream"),
                base64.b64decode(one["data"], validate=True),
            )
    except (msgspec.MsgspecError, KeyError, binascii.Error, ValueError):
        raise Unfit('its attachments must be {NAME: {"mime_type": TYPE, "data": BASE64}}') from None


def scores(project: str, placed: Placed, run: RecordedRun) -> Iterator[tuple[str, bytes]]:
    """Return a run's feedback: id and body.

    Raises:
        Unfit: it is not in the form that `download` writes.
    """
    if run.feedback is None:
        return
    try:
        told = _objects.decode(run.feedback)
        for number, one in enumerate(told):
            key = msgspec.json.decode(one["key"], type=str)
            source = msgspec.json.decode(one["id"], type=str | None) if "id" in one else None
            new = score_id(placed.id, source, key, number)
            yield new, _score(project, placed, one, new)
    except (msgspec.MsgspecError, KeyError, ValueError):
        raise Unfit('its feedback must be a list of {"key": NAME, "score": NUMBER, ...}') from None


def _score(project: str, placed: Placed, one: Raws, new: str) -> bytes:
    kept = {name: raw for name, raw in one.items() if name not in _PLACED and bytes(raw) != b"null"}
    place = {"id": new, "run_id": placed.id, "trace_id": placed.trace, "session_id": project}
    kept |= {name: msgspec.Raw(orjson.dumps(value)) for name, value in place.items()}
    kept["start_time"] = msgspec.Raw(orjson.dumps(moment(placed.start)))
    return moved_in(kept, _MOVED, placed.moved)


def check(run: RecordedRun) -> None:
    """Look at what `operations` would stumble over.

    Raises:
        Unfit: attachments or feedback are malformed.
    """
    if run.attachments is None and run.feedback is None:
        return
    for _ in attachments(run):
        pass
    nobody = "0" * 36
    row = Row(0, 0, None, 0, 0, start=run.start)
    for _ in scores(nobody, Placed(row, nobody, None, nobody, 0, ""), run):
        pass
