"""The spool: one append-only file per worker process, in which a finished item's trace outlives the process.

    ┌──────────────────────────────────────────────────────────────────────┐
    │ file header, 4096 bytes, synced (and its folder) before any record   │
    │   magic "EVSPOOL" + version 1 │ crc32 u32 │ length u32 │ mark 8 bytes │
    │   JSON {boundary, created, pid, ...} of that length │ zeros          │
    ├──────────────────────────────────────────────────────────────────────┤
    │ frame                                                                │
    │   mark 8 bytes │ crc32 u32 │ header length u32 │ body length u64     │
    │   seq u64 │ header (JSON) │ body (multipart parts)                   │
    ├──────────────────────────────────────────────────────────────────────┤
    │ frame ...                                                            │
    └──────────────────────────────────────────────────────────────────────┘

All numbers are little-endian. A crc covers everything that follows it in its block or frame. The mark is
drawn at random for each file, so that nothing that a body holds (another spool, say) can be taken
for a frame; seq rises by one with every frame, so that a copy of an earlier frame cannot either.

A record is written when `append` returns: from then on a SIGKILL cannot take it, because the page cache
outlives the process. It is *durable* when fdatasync has returned, and only then is it said to be so. Records
that wait are synced together: a lone record after `SETTLE` seconds of quiet, a stream of them at the latest
`commit_interval` after the first. After a power cut in between, their items are executed again.
"""

from __future__ import annotations

import os
import secrets
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from evalrunner.clock import SYSTEM
from evalrunner.delivery.record import Header
from evalrunner.errors import SpoolError

#: Seconds without a further record after which the waiting ones are synced.
#: Measured at 1,000 records a second (ext4, fdatasync 0.2 ms): 2 ms cost 36 µs of CPU a record with the sender,
#: 0.5 ms cost 134 µs; a lone record is durable after 2.4 ms.
SETTLE = 0.002
FILE_HEADER_SIZE = 4096

_MAGIC = b"EVSPOOL\x01"
_FILE_HEADER = struct.Struct("<8sII8s")
_FRAME = struct.Struct("<8sIIQQ")
_CRC_END = 12  # magic or mark, then the crc itself: what lies behind is what the crc covers
_CHUNK = 1 << 20
_IOV_MAX = 1024  # linux/uio.h UIO_MAXIOV


@dataclass(frozen=True)
class Entry:
    """One durable record, by where it lies.

    Attributes:
        seq: counted from 1 in its file.
        offset, length: of the body in the file, in bytes.
    """

    seq: int
    offset: int
    length: int
    header: Header


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


class SpoolWriter:
    """Appends records from any thread, and says when they are durable.

    Args:
        path: of a file that does not exist yet.
        info: JSON about the writer, for whoever reads the file after its death.
        on_durable: called on the writer's thread with entries in order, after fdatasync has returned.
        on_error: called once, on the writer's thread, when the file can no longer be written. Nothing that
            was not said to be durable by then will ever be.
        commit_interval: seconds after which the first waiting record is synced, whatever still comes.
        commit_records: as many waiting records are synced at once.

    Raises:
        SpoolError: the file exists, or cannot be created.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        info: dict[str, Any],
        on_durable: Callable[[list[Entry]], None],
        on_error: Callable[[Exception], None],
        commit_interval: float = 0.02,
        commit_records: int = 32,
    ) -> None:
        self.path = Path(path)
        self.boundary = f"evalrunner-{secrets.token_hex(16)}"
        self._mark = secrets.token_bytes(8)
        self._on_durable, self._on_error = on_durable, on_error
        self._commit_interval, self._commit_records = commit_interval, commit_records
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)  # the writer waits here
        self._done = threading.Condition(self._lock)  # sync() waits here
        self._waiting: list[Entry] = []
        self._appended = self._durable = self._asked = 0  # each the last seq of which that is true
        self._idle = self._closing = False
        self._failure: Exception | None = None
        created = SYSTEM.utcnow().isoformat()
        about = {"created": created, "pid": self._pid, **info, "boundary": self.boundary}
        self._fd = _create(self.path, _file_header(about, self._mark))
        self._end = FILE_HEADER_SIZE
        self._thread = threading.Thread(target=self._run, name="evalrunner-spool", daemon=True)
        self._thread.start()

    def append(self, header: Header, body: bytes) -> None:
        """Write a record. It is not durable when this returns: `on_durable` says when it is.

        Raises:
            SpoolError: the file is closed or cannot be written any more, this is a forked child of the
                process that opened it, or the header is not JSON. The record was not taken.
        """
        if os.getpid() != self._pid:  # before the lock, which may have been held when we were forked
            raise SpoolError(
                f"{self.path} belongs to process {self._pid}; a forked child must not write to it"
            )
        header_json = header.to_json()
        with self._lock:
            self._check_open()
            try:
                self._waiting.append(self._write(header, header_json, body))
            except OSError as error:
                # What was written of it is torn, and nothing may follow it. The writer thread says so.
                self._failure = error
                self._work.notify()
                self._check_open()
            self._appended += 1
            if self._idle or len(self._waiting) == self._commit_records:
                self._work.notify()

    def sync(self, timeout: float | None = None) -> bool:
        """Wait until everything appended so far is durable and `on_durable` has said so.

        Returns:
            False if it is not within `timeout` seconds, or the file cannot be written any more.
        """
        if os.getpid() != self._pid:
            return False
        with self._lock:
            target = self._asked = self._appended
            self._work.notify()
            self._done.wait_for(lambda: self._durable >= target or self._failure is not None, timeout)
            return self._durable >= target and self._failure is None

    def close(self, timeout: float = 30.0) -> None:
        """Make everything durable and close the file; a forked child leaves its parent's file alone."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._closing = True
            self._work.notify()
        self._thread.join(timeout)

    def _check_open(self) -> None:
        if self._failure is not None:
            raise SpoolError(f"{self.path} can no longer be written: {self._failure}") from self._failure
        if self._closing:
            raise SpoolError(f"{self.path} is closed")

    def _run(self) -> None:
        try:
            while batch := self._take():
                # A failed fdatasync is final: the kernel marks the pages clean and a second call would
                # "succeed" (fsyncgate). If we die before it returns, nobody was told, and nothing is lost.
                os.fdatasync(self._fd)
                self._on_durable(batch)
                with self._lock:
                    self._durable = batch[-1].seq
                    self._done.notify_all()
        except Exception as error:
            self._fail(error)
        finally:
            os.close(self._fd)

    def _take(self) -> list[Entry]:
        """Sleep until there are records, let a few gather, and return them; nothing means closed and done."""
        with self._lock:
            self._idle = True
            self._work.wait_for(lambda: self._waiting or self._closing or self._failure)
            self._idle = False
            self._gather()
            if self._failure is not None:
                raise self._failure
            batch, self._waiting = self._waiting, []
            return batch

    def _gather(self) -> None:
        deadline = SYSTEM.monotonic() + self._commit_interval
        seen = 0
        while seen < len(self._waiting) < self._commit_records:
            seen = len(self._waiting)
            left = deadline - SYSTEM.monotonic()
            if left <= 0 or self._closing or self._failure or self._asked >= self._waiting[0].seq:
                return
            self._work.wait(min(SETTLE, left))

    def _write(self, header: Header, header_json: bytes, body: bytes) -> Entry:
        seq = self._appended + 1
        sizes = _FRAME.pack(self._mark, 0, len(header_json), len(body), seq)[_CRC_END:]
        crc = zlib.crc32(body, zlib.crc32(header_json, zlib.crc32(sizes)))
        _write_all(self._fd, [self._mark, crc.to_bytes(4, "little"), sizes, header_json, body])
        start = self._end + _FRAME.size + len(header_json)
        self._end = start + len(body)
        return Entry(seq, start, len(body), header)

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._failure = error
            self._waiting = []
            self._done.notify_all()
        self._on_error(error)


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


def _create(path: Path, header: bytes) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, 0o600)
        try:
            os.fchmod(fd, 0o600)  # whatever the umask
            _write_all(fd, [header])
            os.fsync(fd)
            _sync_folder(path.parent)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)  # ours: O_EXCL
            raise
    except OSError as error:
        raise SpoolError(f"the spool {path} cannot be created: {error.strerror or error}") from error
    return fd


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, chunks: list[bytes]) -> None:
    """Write everything: a disk that fills up takes a part and says so only at the next call."""
    views = [memoryview(chunk) for chunk in chunks if chunk]
    first = 0
    while first < len(views):
        written = os.writev(fd, views[first : first + _IOV_MAX])
        while first < len(views) and written >= len(views[first]):
            written -= len(views[first])
            first += 1
        if written:
            views[first] = views[first][written:]


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


def _file_header(info: dict[str, Any], mark: bytes) -> bytes:
    try:
        text = orjson.dumps(info)
    except TypeError as error:
        raise SpoolError(f"the spool's info cannot be written as JSON: {error}") from error
    block = _FILE_HEADER.pack(_MAGIC, 0, len(text), mark) + text
    if len(block) > FILE_HEADER_SIZE:
        raise SpoolError(f"the spool's info is larger than {FILE_HEADER_SIZE - _FILE_HEADER.size} bytes")
    block = block.ljust(FILE_HEADER_SIZE, b"\0")
    return _MAGIC + zlib.crc32(block[_CRC_END:]).to_bytes(4, "little") + block[_CRC_END:]


def _read(fd: int, path: Path) -> SpoolFile:
    size = os.fstat(fd).st_size
    block = os.pread(fd, FILE_HEADER_SIZE, 0)
    if not _MAGIC.startswith(block[: len(_MAGIC)]):
        raise SpoolError(f"{path} is not a spool of this version of evalrunner")
    if size < FILE_HEADER_SIZE:  # its writer died while it created it, before it could take a record
        return SpoolFile(path, {}, "", torn=size)
    _, crc, length, mark = _FILE_HEADER.unpack_from(block)
    if zlib.crc32(block[_CRC_END:]) != crc:
        raise SpoolError(f"the spool {path} has a damaged file header; its records cannot be told apart")
    info = orjson.loads(block[_FILE_HEADER.size : _FILE_HEADER.size + length])
    scan = _Scan(fd, mark, size)
    scan.run()
    return SpoolFile(path, info, str(info["boundary"]), scan.entries, scan.torn, scan.damaged)


class _Scan:
    """One walk over the frames of an open file."""

    def __init__(self, fd: int, mark: bytes, size: int) -> None:
        self._fd, self._mark, self._size = fd, mark, size
        self._last = 0  # seq of the last good frame
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
        if offset + _FRAME.size > self._size:
            return _TORN
        head = _pread(self._fd, offset, _FRAME.size)
        mark, crc, header_length, length, seq = _FRAME.unpack(head)
        start = offset + _FRAME.size + header_length
        if mark != self._mark:
            return "no frame begins here"
        if start + length > self._size:
            return _TORN
        if crc != self._crc(zlib.crc32(head[_CRC_END:]), offset + _FRAME.size, header_length + length):
            return "the checksum is wrong"
        return self._entry(seq, start, length, _pread(self._fd, offset + _FRAME.size, header_length))

    def _entry(self, seq: int, start: int, length: int, header: bytes) -> Entry | str:
        if seq <= self._last:
            return f"record {seq} stands behind record {self._last}"
        try:
            return Entry(seq, start, length, Header.from_json(header))
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
