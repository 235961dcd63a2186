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

A spool may be written in segments, files of the same format under one boundary, whose seq goes on: `7.spool`,
`7.2.spool`, ... What is in a segment is never changed; whoever knows that none of it is needed any more removes the
whole file. A death in between leaves an empty segment, or one too many: both are read like any other.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evalrunner.clock import SYSTEM
from evalrunner.delivery.spool.files import create, segment_path, write_all
from evalrunner.delivery.spool.format import FILE_HEADER_SIZE, FRAME, Entry, SpoolFile, file_header, frame
from evalrunner.delivery.spool.reader import LastFile, read, read_body
from evalrunner.delivery.spool.record import Header
from evalrunner.errors import SpoolError

__all__ = [
    "FILE_HEADER_SIZE",
    "Entry",
    "LastFile",
    "SpoolFile",
    "SpoolWriter",
    "read",
    "read_body",
]

#: Seconds without a further record after which the waiting ones are synced.
SETTLE = 0.006


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
        segment_bytes: size at which the next record begins a new segment; None keeps one file.

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
        commit_interval: float = 0.05,
        commit_records: int = 32,
        segment_bytes: int | None = None,
    ) -> None:
        self.path = Path(path)
        self._segment_bytes = segment_bytes
        self.boundary = f"evalrunner-{secrets.token_hex(16)}"
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
        self._about = {"pid": self._pid, **info, "boundary": self.boundary}
        self._segment = self._end = 0
        self._files: dict[int, int] = {}  # those that may hold what is not durable yet
        self._begin_segment()
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
                if self._segment_bytes is not None and self._end >= self._segment_bytes:
                    self._begin_segment()
                self._waiting.append(self._write(header, header_json, body))
            except (OSError, SpoolError) as error:
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
                self._sync(batch)
                self._on_durable(batch)
                with self._lock:
                    self._durable = batch[-1].seq
                    self._done.notify_all()
        except Exception as error:
            self._fail(error)
        finally:
            for fd in self._files.values():
                os.close(fd)

    def _sync(self, batch: list[Entry]) -> None:
        with self._lock:
            files = {entry.segment: self._files[entry.segment] for entry in batch}
        for segment, fd in files.items():
            os.fdatasync(fd)
            if segment != batch[-1].segment:  # no record of it waits any more, and none will be written to it
                with self._lock:
                    os.close(self._files.pop(segment))

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
        write_all(self._fd, frame(self._mark, seq, header_json, body))
        start = self._end + FRAME.size + len(header_json)
        self._end = start + len(body)
        return Entry(seq, start, len(body), header, self._segment)

    def _begin_segment(self) -> None:
        created, first = SYSTEM.utcnow().isoformat(), self._appended + 1
        about = {"created": created, **self._about, "segment": self._segment + 1, "first": first}
        mark = secrets.token_bytes(8)
        fd = create(segment_path(self.path, self._segment + 1), file_header(about, mark))
        self._segment, self._fd, self._mark, self._end = self._segment + 1, fd, mark, FILE_HEADER_SIZE
        self._files[self._segment] = fd

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._failure = error
            self._waiting = []
            self._done.notify_all()
        self._on_error(error)
