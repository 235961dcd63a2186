"""gzip and zstd, as streams in bounded memory, however much comes out of little."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator

import zstandard

#: How much goes in at once. zstd's unpacker has no bound for what comes out of it: 128 KiB of every 4 bytes at most.
_GZIP_IN, _ZSTD_IN, _OUT = 1 << 16, 512, 1 << 20
#: The longest distance that zstd's own tool unpacks without being asked to.
_ZSTD_WINDOW = 1 << 27
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")


class CutOff(Exception):
    """What is packed ends in the middle, or is damaged; what came out before is sound."""


def packed_with(head: bytes) -> str | None:
    """Return what a file is packed with, by its first bytes."""
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    return "zstd" if _ZSTD.match(head) else None


def unpacked(kind: str, read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield what is packed, piece by piece.

    Args:
        kind: "gzip" or "zstd"; several of them one behind the other are one file.
        read: returns so many bytes at most; none at the end.

    Raises:
        CutOff: after everything that could be unpacked.
    """
    try:
        yield from _gunzip(read) if kind == "gzip" else _unzstd(read)
    except (zlib.error, zstandard.ZstdError) as error:
        raise CutOff(f"its {kind} is damaged ({error})") from None


def _gunzip(read: Callable[[int], bytes]) -> Iterator[bytes]:
    data = read(_GZIP_IN)
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            if not data and not (data := read(_GZIP_IN)):
                raise CutOff("its gzip is cut off")
            yield member.decompress(data, _OUT)
            data = member.unconsumed_tail
        # Tapes and the like fill up with zeros.
        data = member.unused_data.lstrip(b"\0")
        while not data and (more := read(_GZIP_IN)):
            data = more.lstrip(b"\0")


def _unzstd(read: Callable[[int], bytes]) -> Iterator[bytes]:
    data = read(_ZSTD_IN)
    while data:
        frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        while not frame.eof:
            if not data and not (data := read(_ZSTD_IN)):
                raise CutOff("its zstd is cut off")
            yield frame.decompress(data)
            data = b""
        data = frame.unused_data or read(_ZSTD_IN)
