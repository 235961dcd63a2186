"""What a spool looks like on disk; the picture is in writer.py. Sizes and checksums, no threads, no policy."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from evalrunner.delivery.spool.record import Header
from evalrunner.errors import SpoolError

FILE_HEADER_SIZE = 4096
MAGIC = b"EVSPOOL\x01"
FILE_HEADER = struct.Struct("<8sII8s")
FRAME = struct.Struct("<8sIIQQ")
#: Magic or mark, then the crc itself: what lies behind is what the crc covers.
CRC_END = 12


@dataclass(frozen=True)
class Entry:
    """One durable record, by where it lies.

    Attributes:
        seq: counted from 1 in its spool.
        offset, length: of the body in the file, in bytes.
        segment: which of its spool's files it lies in, from 1.
    """

    seq: int
    offset: int
    length: int
    header: Header
    segment: int = 1


@dataclass(frozen=True)
class SpoolFile:
    """What a spool was found to hold.

    Attributes:
        info: what its writer said about itself; empty if it died before it had written a word.
        boundary: which separates the parts in every body, or "" likewise.
        entries: the whole and undamaged records, in order.
        torn: bytes at the end that are not a whole frame; a writer's death leaves them, they are no damage.
        damaged: (offset, why) of what stands where a frame should be. None of it is in `entries`.
    """

    path: Path
    info: dict[str, Any]
    boundary: str
    entries: list[Entry] = field(default_factory=list)
    torn: int = 0
    damaged: list[tuple[int, str]] = field(default_factory=list)


def file_header(info: dict[str, Any], mark: bytes) -> bytes:
    """Return the first block of a file.

    Raises:
        SpoolError: `info` is not JSON, or does not fit.
    """
    try:
        text = orjson.dumps(info)
    except TypeError as error:
        raise SpoolError(f"the spool's info cannot be written as JSON: {error}") from error
    block = FILE_HEADER.pack(MAGIC, 0, len(text), mark) + text
    if len(block) > FILE_HEADER_SIZE:
        raise SpoolError(f"the spool's info is larger than {FILE_HEADER_SIZE - FILE_HEADER.size} bytes")
    block = block.ljust(FILE_HEADER_SIZE, b"\0")
    return MAGIC + zlib.crc32(block[CRC_END:]).to_bytes(4, "little") + block[CRC_END:]


def frame(mark: bytes, seq: int, header_json: bytes, body: bytes) -> list[bytes]:
    """Return a frame, in pieces that need not be copied together."""
    sizes = FRAME.pack(mark, 0, len(header_json), len(body), seq)[CRC_END:]
    crc = zlib.crc32(body, zlib.crc32(header_json, zlib.crc32(sizes)))
    return [mark, crc.to_bytes(4, "little"), sizes, header_json, body]
