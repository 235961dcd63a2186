"""The folders that a run writes in: what they lie on, and whether a small file can be written, synced and locked.

What is tried is tried with a file of our own that is removed at once; a folder that is not there yet is not made, the
nearest one above it stands for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from evalrunner.clock import SYSTEM
from evalrunner.shortage import Shortage, shortage

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Place:
    """One folder.

    Attributes:
        code: what it is for, as a check's code.
        path: of the folder.
        there: the nearest folder that exists; `path` itself, mostly.
        kind: the type of its file system, as the kernel has it; "" where that is not known.
        options: that it is mounted with.
        free: bytes that are left to this user.
        files_left: files that can still be made; None where the file system does not count them.
        refused: why a small file cannot be written there.
        synced: seconds until the disk had it.
        unlockable: why it could not be locked; "" if it could.
    """

    code: str
    path: Path
    there: Path
    kind: str = ""
    options: frozenset[str] = frozenset()
    free: int | None = None
    files_left: int | None = None
    refused: Shortage | None = None
    synced: float | None = None
    unlockable: str = ""


def look(code: str, path: Path) -> Place:
    """Read and try it."""
    path = path.absolute()
    there = next((one for one in (path, *path.parents) if one.is_dir()), Path("/"))
    kind, options = mount_of(there, _mounts())
    seen = Place(code, path, there, kind, options)
    with contextlib.suppress(OSError):
        room = os.statvfs(there)
        free, files = room.f_bavail * room.f_frsize, room.f_favail if room.f_files else None
        seen = replace(seen, free=free, files_left=files)
    return _tried(seen)


def temporary() -> Path | None:
    """Return the folder for temporary files; None where there is none that can be written."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return None


def _tried(seen: Place) -> Place:
    try:
        fd, name = tempfile.mkstemp(prefix=".evalrunner-doctor-", dir=seen.there)
    except OSError as error:
        return replace(seen, refused=shortage(error, seen.there))
    try:
        begun = SYSTEM.monotonic()
        os.write(fd, bytes(4096))
        os.fdatasync(fd)
        return replace(seen, synced=SYSTEM.monotonic() - begun, unlockable=_lock(fd))
    except OSError as error:
        return replace(seen, refused=shortage(error, seen.there))
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(name)


def _lock(fd: int) -> str:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _mounts() -> list[tuple[Path, str, frozenset[str]]]:
    """Return (where, type, options) of what is mounted, what was mounted last being the last."""
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return [found for line in text.splitlines() if (found := parsed(line))]


def parsed(line: str) -> tuple[Path, str, frozenset[str]] | None:
    """Return (where, type, options) of a line of mountinfo (man 5 proc)."""
    before, dash, after = line.partition(" - ")
    fields, rest = before.split(" "), after.split(" ")
    if not dash or len(fields) < 6 or len(rest) < 3:
        return None
    where = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4])
    return Path(where), rest[0], frozenset(fields[5].split(",")) | frozenset(rest[2].split(",")) & {"ro"}


def mount_of(there: Path, mounts: list[tuple[Path, str, frozenset[str]]]) -> tuple[str, frozenset[str]]:
    """Return (type, options) of the file system that a folder is on."""
    real = there.resolve()
    found: tuple[int, str, frozenset[str]] = (-1, "", frozenset())
    for where, kind, options in mounts:
        # The deepest one; of two at the same place, the later one covers the other.
        if (real == where or where in real.parents) and len(where.parts) >= found[0]:
            found = (len(where.parts), kind, options)
    return found[1:]
