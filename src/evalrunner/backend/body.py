"""Read request bodies: capped on the wire, capped again when decompressed."""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import zstandard
from starlette.requests import Request

from evalrunner.backend.errors import HttpError

WIRE_LIMIT = 25 * 2**20  # bytes as sent
PLAIN_LIMIT = 256 * 2**20  # bytes after decompression
_KEEP = 16 * 2**20  # up to here the first pass keeps what it decompresses
_STEP = 2**20
_INLINE = 64 * 2**10  # smaller bodies are not worth a thread
_WINDOW = 128 * 2**20  # what zstd's level 22, the SDK's highest, needs

_aside = ThreadPoolExecutor(2, thread_name_prefix="backend-decode")


T = TypeVar("T")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


async def read_body(request: Request) -> bytes:
    """Return the request's body, decompressed: 413 over a limit, 400 if broken, 415 if unknown."""
    raw = await _read_wire(request)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return raw
    if encoding not in ("zstd", "gzip"):
        raise HttpError(415, f"the Content-Encoding {encoding!r} is not known: use zstd or gzip")
    if len(raw) < _INLINE:
        return decompress(raw, encoding)
    return await aside(decompress, raw, encoding)


async def aside(work: Callable[..., T], *args: Any) -> T:
    """Run `work` off the event loop; two large bodies are worked on at one time, the others wait."""
    return await asyncio.get_running_loop().run_in_executor(_aside, work, *args)


async def _read_wire(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        # A client that is still sending would not see the answer: read on a little, and keep nothing.
        if size > WIRE_LIMIT:
            chunks.clear()
            if size > 4 * WIRE_LIMIT:
                break
        else:
            chunks.append(chunk)
    if size > WIRE_LIMIT:
        raise HttpError(413, f"the body is larger than {WIRE_LIMIT} bytes: send smaller batches")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def decompress(raw: bytes, encoding: str, limit: int = PLAIN_LIMIT) -> bytes:
    """Return `raw` decompressed; 413 if that is over `limit` bytes.

    What goes beyond 16 MiB is first only counted, so that a bomb costs time and no memory.
    """
    try:
        kept: list[bytes] = []
        size = 0
        for chunk in _chunks(raw, encoding):
            size += len(chunk)
            if size > limit:
                raise HttpError(
                    413, f"the body decompresses to more than {limit} bytes: send smaller batches"
                )
            if size <= _KEEP:
                kept.append(chunk)
        return b"".join(kept if size <= _KEEP else _chunks(raw, encoding))
    except (zstandard.ZstdError, zlib.error, EOFError) as error:
        raise HttpError(400, f"the body is not valid {encoding}") from error


def _chunks(raw: bytes, encoding: str) -> Iterator[bytes]:
    return _zstd(raw) if encoding == "zstd" else _gzip(raw)


def _zstd(raw: bytes) -> Iterator[bytes]:
    context = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    with context.stream_reader(io.BytesIO(raw), read_across_frames=True) as reader:
        yield from _steps(reader)


def _steps(reader: _Readable) -> Iterator[bytes]:
    while chunk := reader.read(_STEP):
        yield chunk


def _gzip(raw: bytes) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits=31)
    rest = raw
    while not inflate.eof:
        chunk = inflate.decompress(rest, _STEP)
        rest = inflate.unconsumed_tail
        if not chunk and not rest and not inflate.eof:
            raise EOFError("gzip stream is cut short")
        yield chunk
