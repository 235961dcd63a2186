"""The files of a spool: how they are called, how one is made, and how all of a record gets into it."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from evalrunner.errors import SpoolError

_IOV_MAX = 1024  # linux/uio.h UIO_MAXIOV


def segment_path(path: Path, segment: int) -> Path:
    """Return where a segment of the spool at `path` lies; the first one is the spool's own file."""
    return path if segment == 1 else path.with_name(f"{stem_of(path)}.{segment}{path.suffix}")


def segments_of(path: Path) -> list[Path]:
    """Return the segments of a spool that are there, in order; the first ones may have been let go."""
    return in_order(path.parent.glob(f"{glob.escape(stem_of(path))}.*{path.suffix}"), path)


def in_order(files: Iterable[Path], *more: Path) -> list[Path]:
    """Return spool files that exist in the order in which they were written."""
    return sorted({file for file in (*files, *more) if file.exists()}, key=_place)


def _place(file: Path) -> tuple[str, int]:
    number = file.name.removeprefix(stem_of(file)).removesuffix(file.suffix).strip(".")
    return stem_of(file), int(number) if number.isdecimal() else 1


def stem_of(path: Path) -> str:
    """Return by which name the books know a spool's records."""
    return path.name.partition(".")[0]


def create(path: Path, header: bytes) -> int:
    """Make a file that does not exist yet, durable with its header; return its descriptor, for appending.

    Raises:
        SpoolError: it exists, or cannot be created.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, 0o600)
        try:
            os.fchmod(fd, 0o600)  # whatever the umask
            write_all(fd, [header])
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


def write_all(fd: int, chunks: list[bytes]) -> None:
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
