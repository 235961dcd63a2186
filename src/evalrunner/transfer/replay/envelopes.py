"""A failed-trace envelope: what the SDK writes into `LANGSMITH_FAILED_TRACES_DIR` of a request that it gave up.

    {"version": 1, "endpoint": "runs/multipart", "headers": {"Content-Type", "Content-Encoding"?}, "body_base64"}

as `trace_<seconds>_<hex>.json` (langsmith/client.py:1696, 0.14.17); there is no key in it, and one that somebody put
there would not be sent: of the headers only these two are.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zstandard

from evalrunner.delivery.spool.record import Op
from evalrunner.errors import ConfigError

#: Where envelopes go whose content the service has.
DONE = "done"
#: Bytes that a packed body may come to: ten times of what a service takes at once.
MOST = 200 << 20
_ENDPOINT = "runs/multipart"
_BOUNDARY = re.compile(r'multipart/form-data;[ \t]*boundary="?([!#-~]{1,200}?)"?[ \t]*', re.IGNORECASE)
_NAME = re.compile(rb'^Content-Disposition:[^\r\n]*\bname="([^"\r\n]*)"', re.IGNORECASE | re.MULTILINE)
_SIZE = re.compile(rb"^Content-Length:\s*(\d+)\s*$", re.IGNORECASE | re.MULTILINE)
#: So the SDK says the size of an attachment that is a file.
_LENGTH = re.compile(rb"^Content-Type:[^\r\n]*;\s*length=(\d+)\s*$", re.IGNORECASE | re.MULTILINE)
_KINDS = ("post", "patch", "feedback")
_ID = 36


class UnreadError(Exception):
    """A file is no envelope, or only a piece of one; says why."""


class _Stored(msgspec.Struct):
    version: int
    endpoint: str
    headers: dict[str, str]
    body_base64: str


@dataclass(frozen=True)
class Envelope:
    """A request that failed.

    Attributes:
        stored: its body as it was sent.
        content_type, encoding: its headers.
        boundary: which separates the parts.
        body: it, unpacked.
        ops: its operations, without a gap; one without a kind where they cannot be told apart.
    """

    path: Path
    stored: bytes
    content_type: str
    encoding: str | None
    boundary: str
    body: bytes
    ops: tuple[Op, ...]

    def piece(self, op: Op) -> bytes:
        """Return the request that carries one operation alone."""
        return self.body[op.offset : op.offset + op.length] + f"--{self.boundary}--\r\n".encode()


def listed(folder: Path) -> list[Path]:
    """Return the folder's files, oldest first: their names begin with the time.

    Raises:
        ConfigError: it cannot be read, or not written.
    """
    done = folder / DONE
    try:
        found = sorted(path for path in folder.iterdir() if path.is_file() and path != done)
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be used: {error.strerror or error}") from None
    if done.exists() and not done.is_dir():
        raise ConfigError(
            f"{done} is in the way: envelopes are moved to a folder of this name when they are done"
        )
    if found and not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"the folder {folder} cannot be written: what is done could not be moved to {done}")
    return found


def read(path: Path) -> Envelope:
    """Read one; UnreadError, OSError."""
    if path.suffix != ".json":
        end = (
            "the end of a process cut it off" if path.suffix == ".tmp" else "its name does not end with .json"
        )
        raise UnreadError(f"it is no envelope of the SDK's: {end}")
    try:
        told = msgspec.json.decode(path.read_bytes(), type=_Stored)
    except msgspec.ValidationError as error:
        raise UnreadError(f"it is no envelope of the SDK's: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadError(f"it is cut off, or no JSON: {error}") from None
    if told.version != 1 or told.endpoint.strip("/") != _ENDPOINT:
        raise UnreadError(
            f"it is version {told.version} for {told.endpoint!r}, and not version 1 for {_ENDPOINT!r}"
        )
    headers = {name.lower(): value for name, value in told.headers.items()}
    kind, encoding = headers.get("content-type", ""), headers.get("content-encoding") or None
    found = _BOUNDARY.fullmatch(kind)
    if found is None:
        raise UnreadError(f"its Content-Type names no boundary: {kind[:80]!r}")
    try:
        stored = base64.b64decode(told.body_base64, validate=True)
    except (binascii.Error, ValueError):
        raise UnreadError("its body is no base64") from None
    body = _unpacked(stored, encoding)
    return Envelope(path, stored, kind, encoding, found[1], body, operations(body, found[1]))


def _unpacked(stored: bytes, encoding: str | None) -> bytes:
    if encoding is None:
        return stored
    if encoding != "zstd":
        raise UnreadError(f"its body is packed as {encoding!r}, which is not known here")
    try:
        with zstandard.ZstdDecompressor().stream_reader(
            io.BytesIO(stored), read_across_frames=True
        ) as reader:
            body = reader.read(MOST + 1)
    except zstandard.ZstdError as error:
        raise UnreadError(f"its body cannot be unpacked: {error}") from None
    if len(body) > MOST:
        raise UnreadError(f"its body is larger than {MOST >> 20} MiB")
    return body


def operations(body: bytes, boundary: str) -> tuple[Op, ...]:
    """Take a body apart into what the service counts as one: a run created, a run ended, a feedback.

    Raises:
        UnreadError: it is no whole multipart body.
    """
    found: list[Op] = []
    whole = True
    for name, offset, length in _parts(body, boundary):
        kind, _, rest = name.partition(".")
        last = found[-1] if found else None
        if kind in _KINDS and len(rest) == _ID:
            found.append(Op(kind, rest, offset, length))
        elif last is not None and rest[:_ID] == last.id and kind in (last.kind, "attachment"):
            found[-1] = Op(last.kind, last.id, last.offset, last.length + length)
        else:
            whole = False
            found.append(Op("", name, offset, length))
    if not found:
        raise UnreadError("there is nothing in its body")
    if whole:
        return tuple(found)
    return (Op("", "of an unknown kind", 0, found[-1].offset + found[-1].length),)


def _parts(body: bytes, boundary: str) -> Iterator[tuple[str, int, int]]:
    """Return name, offset and length of each part, with its delimiter and the line break that ends it."""
    start, end = f"--{boundary}\r\n".encode(), f"--{boundary}--".encode()
    at = 0
    while not body.startswith(end, at):
        head_end = body.find(b"\r\n\r\n", at)
        if not body.startswith(start, at) or head_end < 0:
            raise UnreadError(f"its body is cut off, or no multipart: no part begins at byte {at:,}")
        head = body[at + len(start) : head_end]
        data = head_end + 4
        size = _SIZE.search(head) or _LENGTH.search(head)
        after = data + int(size[1]) if size else body.find(b"\r\n--" + boundary.encode(), data)
        if after < 0 or not body.startswith(b"\r\n", after):
            raise UnreadError(f"its body is cut off in the part at byte {at:,}")
        name = _NAME.search(head)
        yield (name[1].decode(errors="replace") if name else ""), at, after + 2 - at
        at = after + 2
