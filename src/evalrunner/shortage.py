"""What the system refuses, told apart: a full disk needs room, too many open files need `ulimit -n`.

SQLite hides the number behind words of its own ("disk I/O error", "unable to open database file" for EMFILE), so
that the folder is tried once more to learn it.
"""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

#: Bytes that are written to learn what is behind words that say too little.
TRIAL = 1 << 20


@dataclass(frozen=True)
class Shortage:
    """What is wrong, and what to do about it; both are clauses, for a sentence of the caller's."""

    cause: str
    remedy: str


_ELSEWHERE = "or copy the folder to another disk and name it with --run-dir"
_KNOWN: dict[int, Shortage] = {
    errno.ENOSPC: Shortage("the disk of {place} is full", "make room there"),
    errno.EDQUOT: Shortage("the disk quota at {place} is used up", "remove something there, or have it raised"),
    errno.EFBIG: Shortage("a file in {place} has reached its greatest size", "raise `ulimit -f`"),
    errno.EROFS: Shortage("the file system of {place} is read-only", f"have it mounted for writing, {_ELSEWHERE}"),
    errno.EIO: Shortage("the disk of {place} fails (input/output error)", f"have it looked at, {_ELSEWHERE}"),
    errno.ESTALE: Shortage("the network file system of {place} has lost its files (stale handle)", "mount it again"),
    errno.EACCES: Shortage("{place} may not be written by this user", "change its permissions"),
    errno.EPERM: Shortage("{place} may not be written by this user", "change its permissions"),
    errno.ENOENT: Shortage("{place} is not there any more", "put it back"),
    errno.EMFILE: Shortage(
        "this process may not have more than {files} files open", "raise `ulimit -n`, or use fewer --workers"
    ),
    errno.ENFILE: Shortage("this machine has no more open files to give", "end something else, or raise fs.file-max"),
    errno.EAGAIN: Shortage("no more processes or threads can start", "raise `ulimit -u`, or use fewer --workers"),
    errno.ENOMEM: Shortage("this machine has no memory left", "use fewer --workers, or a machine that has more"),
    errno.EPIPE: Shortage("nobody reads this command's output any more", "let it be read to its end"),
}  # fmt: skip


def shortage(error: BaseException, place: Path) -> Shortage:
    """Say what an OSError, an error of SQLite's, or one of ours that was caused by such a one, is about.

    Args:
        place: the folder (or a file in it) that is being worked in.
    """
    found = _number(error, place)
    known = _KNOWN.get(found) if found is not None else None
    if known is None:
        return Shortage(_words(error), "mend that")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Shortage(known.cause.format(place=place, files=files), known.remedy)


def _number(error: BaseException, place: Path) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return errno.EAGAIN
    if isinstance(error, sqlite3.Error):
        return _behind(str(error), place)
    return None if error.__cause__ is None else _number(error.__cause__, place)


def _behind(words: str, place: Path) -> int | None:
    """Return what is behind SQLite's words, or None where they say it all (locked, damaged)."""
    if "disk is full" in words:
        return _tried(place) or errno.ENOSPC
    if "I/O error" in words:
        return _tried(place) or errno.EIO
    if "readonly" in words or "unable to open" in words:
        return _tried(place) or errno.EACCES
    return None


def _tried(place: Path) -> int | None:
    """Write a little where the work is; return what the system says to that."""
    try:
        fd, name = tempfile.mkstemp(prefix=".try-", dir=place if place.is_dir() else place.parent)
        try:
            left = TRIAL
            while left:  # the first call takes what fits, the next one says why no more
                left -= os.write(fd, bytes(left))
            os.fsync(fd)
        finally:
            os.close(fd)
            os.unlink(name)
    except OSError as error:
        return error.errno
    return None


def _words(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
