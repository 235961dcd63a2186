"""One file that can be read at any place: the user's own, or a copy of what is in it."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from evalrunner.errors import ConfigError, DataError
from evalrunner.transfer.files.places import name_of
from evalrunner.transfer.files.scratch import Copy, Scratch
from evalrunner.transfer.files.table import is_table, rows_as_lines
from evalrunner.transfer.files.unpack import packed_with, unpacked

_HEAD = 1 << 12
#: How often something may be packed in something.
_DEEP = 3


@dataclass(frozen=True)
class Readable:
    """Some bytes of an open file.

    Attributes:
        name: of the user's file.
        fd, begin, end: where its contents are; no descriptor if the user's file is opened for each read.
        own: the descriptor is its own, of the user's file; otherwise of a copy that several share.
        path, was: the user's file, if it is that which is read, and its size, time and inode then.
        missing: why what it should hold ends early.
    """

    name: str
    fd: int
    begin: int
    end: int
    own: bool
    path: Path | None = None
    was: tuple[int, int, int] | None = None
    missing: str | None = None

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes, counted from its first."""
        length = min(length, self.end - self.begin - offset)
        if self.fd >= 0 or self.path is None:
            return os.pread(self.fd, length, self.begin + offset)
        try:
            with self.path.open("rb", buffering=0) as file:
                return os.pread(file.fileno(), length, offset)
        except OSError as error:
            raise DataError(f"{self.name} cannot be read any more: {error.strerror or error}") from None

    def shut(self) -> Readable:
        """Close the user's file; it is opened again for each read."""
        if not self.own:
            return self
        os.close(self.fd)
        return replace(self, fd=-1, own=False)

    def changed(self) -> str | None:
        """Return a sentence if the user's file is not what it was."""
        if self.path is None:
            return None
        try:
            now = state(os.stat(self.path))
        except OSError as error:
            return f"{self.name} cannot be read any more: {error.strerror or error}"
        return None if now == self.was else f"{self.name} has changed since it was opened"


def state(found: os.stat_result) -> tuple[int, int, int]:
    """Return by what a file is known again."""
    return found.st_size, found.st_mtime_ns, found.st_ino


def opened(path: Path | None, scratch: Scratch) -> Readable:
    """Open a file; copy it where it cannot be read at any place, or is packed.

    Raises:
        ConfigError: it cannot be read.
        DataError: what it is packed with cannot be unpacked.
        RunFolderError: there is no room for a copy.
    """
    name = name_of(path)
    try:
        fd = os.dup(sys.stdin.fileno()) if path is None else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    with _closing(fd) as keep:
        found = os.fstat(fd)
        if path is not None and stat.S_ISREG(found.st_mode):
            keep()
            return _plain(Readable(name, fd, 0, found.st_size, True, path, state(found)), scratch)
        return _plain(_copied(name, scratch.copy(name, _stream(name, fd))), scratch)


@contextlib.contextmanager
def _closing(fd: int) -> Iterator[Callable[[], object]]:
    """Close a descriptor at the end, unless what is yielded was called."""
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, fd)
        yield stack.pop_all


def _plain(file: Readable, scratch: Scratch) -> Readable:
    """Unpack a file until what is in it can be read; the user's own is closed unless it is that."""
    with contextlib.ExitStack() as stack:
        if file.own:
            stack.callback(os.close, file.fd)
        for _ in range(_DEEP):
            pieces = _inside(file)
            if pieces is None:
                stack.pop_all()
                return file
            file = _copied(file.name, scratch.copy(file.name, pieces))
            if file.missing and file.begin == file.end:
                raise DataError(f"{file.name} cannot be unpacked: {file.missing}; nothing was sent")
    raise DataError(f"{file.name} is packed {_DEEP} times or more; nothing was sent")


def _inside(file: Readable) -> Iterator[bytes] | None:
    head = file.read(0, _HEAD)
    if kind := packed_with(head):
        return unpacked(kind, _reader(file))
    return rows_as_lines(file.name, file.read, file.end - file.begin) if is_table(head) else None


def _copied(name: str, copy: Copy) -> Readable:
    return Readable(name, copy.fd, copy.begin, copy.end, False, missing=copy.missing)


def _reader(file: Readable) -> Callable[[int], bytes]:
    at = 0

    def read(count: int) -> bytes:
        nonlocal at
        data = file.read(at, count)
        at += len(data)
        return data

    return read


def _stream(name: str, fd: int) -> Iterator[bytes]:
    try:
        while piece := os.read(fd, 1 << 20):
            yield piece
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror or error}") from None
