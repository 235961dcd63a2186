"""What one record is: the whole trace of one ended item, already encoded as the parts of a request.

A record's body is a run of multipart/form-data parts without the closing delimiter, so that bodies
that share a boundary become one request by joining them, and one operation is a slice of its body.
Nothing is ever encoded a second time: what is sent again is byte-identical.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from evalrunner.errors import SpoolError

JSON = "application/json"
#: Name, content type, data.
Part = tuple[str, str, bytes]
#: (kind, id, parts): what the service is told in one piece; and the same with its parts as they are sent.
Operation = tuple[str, str, list[Part]]
Encoded = tuple[str, str, bytes]

_UNSAFE = re.compile(r'[\x00-\x1f\x7f"]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BLANK = b"\r\n\r\n"
#: The last field of a part's head, see `_part_head`.
_SIZE = re.compile(rb"\r\nContent-Length: (\d+)$")


@dataclass(frozen=True)
class Op:
    """One operation of a record, as the service counts them: it is created once, or ended once.

    Attributes:
        kind: `post`, `patch` or `feedback`.
        id: the run's or the feedback's id.
        offset, length: where its parts lie in the record's body, in bytes.
    """

    kind: str
    id: str
    offset: int
    length: int


@dataclass(frozen=True)
class Header:
    """What is known of a record without reading its body.

    Attributes:
        item, token: which lease produced it, or None for what belongs to no item.
        meta: opaque JSON; for an item, the fields of `protocol.reports.ProducedItem`.
        ops: the body's operations, in order and without a gap.
    """

    item: int | None
    token: int | None
    meta: dict[str, Any]
    ops: tuple[Op, ...]

    def to_json(self) -> bytes:
        """Return it as JSON.

        Raises:
            SpoolError: `meta` holds something that JSON does not have.
        """
        ops = [(op.kind, op.id, op.offset, op.length) for op in self.ops]
        try:
            return orjson.dumps([self.item, self.token, self.meta, ops])
        except TypeError as error:
            raise SpoolError(f"the record's header cannot be written as JSON: {error}") from error

    @classmethod
    def from_json(cls, data: bytes) -> Header:
        """Read what `to_json` wrote.

        Raises:
            ValueError: the bytes are not a header.
        """
        try:
            item, token, meta, ops = orjson.loads(data)
            return cls(item, token, dict(meta), tuple(Op(*op) for op in ops))
        except TypeError as error:
            raise ValueError(str(error)) from error


def encode_parts(
    boundary: str, ops: Iterable[tuple[str, str, Sequence[Part]]]
) -> tuple[tuple[Op, ...], bytes]:
    """Encode operations as the SDK does (`langsmith._internal._operations`), without the closing delimiter.

    Args:
        boundary: of the spool that the record goes to; only such bodies can share a request.
        ops: (kind, id, parts) of each operation.
    """
    found: list[Op] = []
    chunks: list[bytes] = []
    offset = 0
    for kind, op_id, parts in ops:
        length = 0
        for name, content_type, data in parts:
            head = _part_head(boundary, name, content_type, len(data))
            chunks += (head, data, b"\r\n")
            length += len(head) + len(data) + 2
        found.append(Op(kind, op_id, offset, length))
        offset += length
    return tuple(found), b"".join(chunks)


def encode_each(boundary: str, ops: Iterable[tuple[str, str, Sequence[Part]]]) -> Iterator[Encoded]:
    """Encode operations one by one, as `encode_parts` does."""
    for kind, op_id, parts in ops:
        yield kind, op_id, encode_parts(boundary, [(kind, op_id, parts)])[1]


def closing(boundary: str) -> bytes:
    """Return the delimiter that ends a request."""
    return f"--{boundary}--\r\n".encode()


def rebound(body: bytes, old: str, new: str) -> bytes:
    """Return a body under another boundary of the same length, so that records of two spools share a request.

    Only delimiters are exchanged: an attachment may hold a copy of the very spool that it lies in.

    Raises:
        SpoolError: the boundaries differ in length, or the body is no run of parts.
    """
    before, after = f"--{old}\r\n".encode(), f"--{new}\r\n".encode()
    if len(before) != len(after):
        raise SpoolError(f"the boundary {old!r} is not of this version of evalrunner")
    changed = bytearray(body)
    at = 0
    while at < len(body):
        head_end = body.find(_BLANK, at)
        size = _SIZE.search(body, at, max(head_end, at))
        if not body.startswith(before, at) or size is None:
            raise SpoolError(f"no part begins at byte {at} of a record")
        changed[at : at + len(after)] = after
        at = head_end + len(_BLANK) + int(size[1]) + 2
    return bytes(changed)


def _part_head(boundary: str, name: str, content_type: str, size: int) -> bytes:
    # Names and types may come from a target (its attachments): they must not be able to end a header.
    if (not name.isprintable() or '"' in name) and _UNSAFE.search(name):
        name = _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", name)  # as HTML's form-data encoding does
    if not content_type.isprintable() and _CONTROL.search(content_type):
        content_type = "application/octet-stream"
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n"
    ).encode(errors="backslashreplace")
