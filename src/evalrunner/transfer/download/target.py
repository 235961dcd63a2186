"""Where a download goes: a file that has its name only when it is whole, or a stream.

.NAME.part   0600, locked while it is written; only a killed download leaves it, and the next one takes it over
NAME         the same file, renamed when it is whole and on the disk
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

import zstandard

from evalrunner.errors import ConfigError


class Sink(Protocol):
    """What takes the bytes."""

    def write(self, data: bytes, /) -> int:
        """Take some; OSError if they cannot be written."""


@contextlib.contextmanager
def opened(path: Path | None, *, force: bool) -> Iterator[Sink]:
    """Yield what takes the lines; the file appears under its name only if the block ends without an error.

    Args:
        path: None is stdout; `.zst` and `.gz` are packed; what is there and no plain file (a pipe) is written to.
        force: replace a file.

    Raises:
        ConfigError: it cannot be written, is there already, or another download writes it.
    """
    if path is None:
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except (
            BrokenPipeError
        ):  # what it still holds goes nowhere, or Python would try it once more at its end
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            raise
        return
    if _is_stream(path):
        with path.open("wb") as stream, _packed(stream, path.suffix) as sink:
            yield sink
        return
    refuse_existing(path, force=force)
    part = path.with_name(f".{path.name}.part")
    with os.fdopen(_locked(part), "wb") as file:
        try:
            with _packed(file, path.suffix) as sink:
                yield sink
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _name(part, path, force=force)


def refuse_existing(path: Path | None, *, force: bool) -> None:
    """Refuse a file that is there; ConfigError."""
    if path is None or _is_stream(path):
        return
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file in it")
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already; name another file, or say --force to replace it")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent} to write {path.name} in")


def _is_stream(path: Path) -> bool:
    try:
        kind = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(kind) and not stat.S_ISDIR(kind)


def _locked(part: Path) -> int:
    """Open the unfinished file for us alone, empty."""
    try:
        while True:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(descriptor, part):  # else another download has finished in between, and renamed it
                    os.fchmod(descriptor, 0o600)
                    os.ftruncate(descriptor, 0)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
    except BlockingIOError:
        raise ConfigError(f"another download is writing {part.name[1:-5]} in {part.parent}") from None
    except OSError as error:
        raise ConfigError(f"{part} cannot be written: {error.strerror or error}") from None


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _name(part: Path, path: Path, *, force: bool) -> None:
    """Give the file its name; what has appeared under it in the meantime is not replaced without being asked."""
    if force:
        part.replace(path)
        return
    try:
        os.link(part, path)
    except FileExistsError:
        raise ConfigError(f"{path} has appeared in the meantime; what was downloaded is {part}") from None
    except OSError:  # a file system without links
        part.rename(path)
    else:
        part.unlink()


@contextlib.contextmanager
def _packed(file: IO[bytes], suffix: str) -> Iterator[Sink]:
    if suffix == ".zst":
        with zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(
            file, closefd=False
        ) as packed:
            yield packed
    elif suffix == ".gz":
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6) as zipped:
            yield zipped
    else:
        yield file
