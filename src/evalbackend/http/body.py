"""Read request bodies: capped on the wire, capped again when decompressed."""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import zstandard
from starlette.requests import ClientDisconnect, Request

from evalbackend.errors import HttpError

# Bytes as sent. The SDK ships a frame once it has passed 20 MiB (_background_thread.py:208), so that a limit of
# just that would refuse the SDK's own.
WIRE_LIMIT = 25 * 2**20
PLAIN_LIMIT = 256 * 2**20  # bytes after decompression
_KEEP = 16 * 2**20  # larger ones, decompressed, are in memory one at a time
_STEP = 2**20
_INLINE = 64 * 2**10  # smaller bodies are not worth a thread, unless they grow beyond a step
ROOM = "evalrunner.room"  # where a request's scope has its Room
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
    if len(raw) < _INLINE and (plain := inflated(raw, encoding, _STEP, count=False)) is not None:
        return plain
    if (plain := await aside(inflated, raw, encoding, _KEEP)) is not None:
        return plain
    await request.scope[ROOM].enter()
    return await aside(inflated, raw, encoding, PLAIN_LIMIT) or b""


class Room:
    """One request's claim on the room for a large body: there is room for one, the others wait."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._inside = False

    async def enter(self) -> None:
        """Wait for the room and keep it until `leave`."""
        if not self._inside:
            await self._places.acquire()
            self._inside = True

    def leave(self) -> None:
        """Give the room back, if it was taken."""
        if self._inside:
            self._inside = False
            self._places.release()


async def aside(work: Callable[..., T], *args: Any) -> T:
    """Run `work` off the event loop; two large bodies are worked on at one time, the others wait."""
    return await asyncio.get_running_loop().run_in_executor(_aside, work, *args)


async def drained(request: Request) -> None:
    """Read the body, up to a few times its limit, and keep nothing: who still sends would not see the answer."""
    size = 0
    async for chunk in _stream(request):
        size += len(chunk)
        if size > 4 * WIRE_LIMIT:
            break


async def _read_wire(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in _stream(request):
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


async def _stream(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise HttpError(400, "the client has hung up") from None  # nobody hears it, and the log stays clean


def inflated(raw: bytes, encoding: str, keep: int, *, count: bool = True) -> bytes | None:
    """Return `raw` decompressed, or None if that is over `keep` bytes; 413 if it is over the limit.

    What goes beyond `keep` is counted and thrown away, so that a bomb costs time and no memory; without
    `count` it is not even looked at.
    """
    plain, size = io.BytesIO(), 0
    try:
        for chunk in _chunks(raw, encoding):
            size += len(chunk)
            if size <= keep:
                plain.write(chunk)
            elif not count:
                return None
            if size > PLAIN_LIMIT:
                raise HttpError(
                    413, f"the body decompresses to more than {PLAIN_LIMIT} bytes: send smaller batches"
                )
    except (zstandard.ZstdError, zlib.error, EOFError) as error:
        raise HttpError(400, f"the body is not valid {encoding}") from error
    return plain.getvalue() if size <= keep else None


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
