"""Reading a spool whose writer may have died at any moment: only whole, undamaged records come back."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import orjson

from evalrunner.delivery.spool.files import segment_path
from evalrunner.delivery.spool.format import (
    CRC_END,
    FILE_HEADER,
    FILE_HEADER_SIZE,
    FRAME,
    MAGIC,
    Entry,
    SpoolFile,
)
from evalrunner.delivery.spool.record import Header
from evalrunner.errors import SpoolError

_CHUNK = 1 << 20


def read(path: str | os.PathLike[str]) -> SpoolFile:
    """Read a spool and check every frame of it; bodies are not kept.

    Raises:
        SpoolError: it cannot be opened, is not a spool, or its file header is damaged.
    """
    path = Path(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return _read(fd, path)
        finally:
            os.close(fd)
    except OSError as error:
        raise SpoolError(f"the spool {path} cannot be read: {error.strerror or error}") from error


def read_body(source: int | str | os.PathLike[str], entry: Entry) -> bytes:
    """Return the body of an entry of the file `source`, a path or an open file descriptor.

    Raises:
        SpoolError: the file cannot be read, or ends before the body does.
    """
    try:
        if isinstance(source, int):
            return _pread(source, entry.offset, entry.length)
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return _pread(fd, entry.offset, entry.length)
        finally:
            os.close(fd)
    except OSError as error:
        raise SpoolError(
            f"record {entry.seq} of the spool cannot be read: {error.strerror or error}"
        ) from error


class LastFile:
    """The file that was read last, left open: records come in the order of their files. For any thread."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._segment = 0
        self._fd = -1
        self._lock = threading.Lock()

    def body(self, path: Path, entry: Entry) -> bytes:
        """Return the body of an entry of the spool at `path`.

        Raises:
            OSError, SpoolError: it cannot be read.
        """
        with self._lock:
            if path is not self._path or entry.segment != self._segment:
                self._close()
                file = segment_path(path, entry.segment)
                self._fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                self._path, self._segment = path, entry.segment
            return read_body(self._fd, entry)

    def close(self) -> None:
        """Close it; the next reading opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._path is not None:
            os.close(self._fd)
            self._path = None


def _pread(fd: int, offset: int, length: int) -> bytes:
    """Read exactly `length` bytes, or raise SpoolError."""
    data = os.pread(fd, length, offset)
    if len(data) == length:
        return data
    chunks = [data]  # one call gives at most 2 GiB
    while data and (left := length - sum(map(len, chunks))):
        data = os.pread(fd, left, offset + length - left)
        chunks.append(data)
    if sum(map(len, chunks)) != length:
        raise SpoolError(f"the spool ends before byte {offset + length}")
    return b"".join(chunks)


def _read(fd: int, path: Path) -> SpoolFile:
    size = os.fstat(fd).st_size
    block = os.pread(fd, FILE_HEADER_SIZE, 0)
    if not MAGIC.startswith(block[: len(MAGIC)]):
        raise SpoolError(f"{path} is not a spool of this version of evalrunner")
    if size < FILE_HEADER_SIZE:  # its writer died while it created it, before it could take a record
        return SpoolFile(path, {}, "", torn=size)
    _, crc, length, mark = FILE_HEADER.unpack_from(block)
    if zlib.crc32(block[CRC_END:]) != crc:
        raise SpoolError(f"the spool {path} has a damaged file header; its records cannot be told apart")
    info = orjson.loads(block[FILE_HEADER.size : FILE_HEADER.size + length])
    scan = _Scan(fd, mark, size, int(info.get("segment", 1)), int(info.get("first", 1)))
    scan.run()
    return SpoolFile(path, info, str(info["boundary"]), scan.entries, scan.torn, scan.damaged)


class _Scan:
    """One walk over the frames of an open file."""

    def __init__(self, fd: int, mark: bytes, size: int, segment: int, first: int) -> None:
        self._fd, self._mark, self._size, self._segment = fd, mark, size, segment
        self._last = first - 1  # seq of the last good frame
        self.entries: list[Entry] = []
        self.damaged: list[tuple[int, str]] = []
        self.torn = 0

    def run(self) -> None:
        offset = FILE_HEADER_SIZE
        while offset < self._size:
            frame = self._frame(offset)
            if isinstance(frame, Entry):
                self._take(frame, offset)
                offset = frame.offset + frame.length
            else:
                offset = self._skip(offset, frame)

    def _skip(self, offset: int, why: str) -> int:
        """Book what is no frame; return where to go on."""
        onward = self._resync(offset + 1)
        if onward is None and why == _TORN:
            self.torn = self._size - offset
        else:
            self.damaged.append((offset, why))
        return self._size if onward is None else onward

    def _take(self, entry: Entry, offset: int) -> None:
        missing = entry.seq - self._last - 1
        explained = self.damaged and self.damaged[-1][0] >= self._previous_end()
        if missing and not explained:  # somebody has cut whole frames out
            self.damaged.append((offset, f"{missing} record(s) before record {entry.seq} are missing"))
        self.entries.append(entry)
        self._last = entry.seq

    def _previous_end(self) -> int:
        return self.entries[-1].offset + self.entries[-1].length if self.entries else FILE_HEADER_SIZE

    def _frame(self, offset: int) -> Entry | str:
        """Return the entry whose frame begins at `offset`, or why there is none."""
        if offset + FRAME.size > self._size:
            return _TORN
        head = _pread(self._fd, offset, FRAME.size)
        mark, crc, header_length, length, seq = FRAME.unpack(head)
        start = offset + FRAME.size + header_length
        if mark != self._mark:
            return "no frame begins here"
        if start + length > self._size:
            return _TORN
        if crc != self._crc(zlib.crc32(head[CRC_END:]), offset + FRAME.size, header_length + length):
            return "the checksum is wrong"
        return self._entry(seq, start, length, _pread(self._fd, offset + FRAME.size, header_length))

    def _entry(self, seq: int, start: int, length: int, header: bytes) -> Entry | str:
        if seq <= self._last:
            return f"record {seq} stands behind record {self._last}"
        try:
            return Entry(seq, start, length, Header.from_json(header), self._segment)
        except ValueError as error:
            return f"the header cannot be read: {error}"

    def _crc(self, crc: int, offset: int, length: int) -> int:
        for at in range(offset, offset + length, _CHUNK):
            crc = zlib.crc32(_pread(self._fd, at, min(_CHUNK, offset + length - at)), crc)
        return crc

    def _resync(self, offset: int) -> int | None:
        """Return where the next good frame begins."""
        for at in self._marks(offset):
            if isinstance(self._frame(at), Entry):
                return at
        return None

    def _marks(self, offset: int) -> Iterator[int]:
        while offset < self._size:
            data = _pread(self._fd, offset, min(_CHUNK, self._size - offset))
            at = data.find(self._mark)
            while at >= 0:
                yield offset + at
                at = data.find(self._mark, at + 1)
            offset += max(len(data) - len(self._mark) + 1, 1)  # a mark may lie across two chunks


_TORN = "the frame is not whole"
