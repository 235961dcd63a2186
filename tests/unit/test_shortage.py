"""A full disk is not a want of open files: what the system refuses, in the sentence that it deserves."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from evalrunner.errors import SpoolError
from evalrunner.shortage import shortage

FIXED: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("is full", "make room"),
    errno.EDQUOT: ("quota", "have it raised"),
    errno.EROFS: ("read-only", "--run-dir"),
    errno.EIO: ("fails", "--run-dir"),
    errno.EACCES: ("may not be written", "permissions"),
    errno.EMFILE: ("files open", "ulimit -n"),
    errno.ENFILE: ("no more open files", "fs.file-max"),
    errno.EAGAIN: ("processes or threads", "ulimit -u"),
    errno.ENOMEM: ("memory", "--workers"),
    errno.ESTALE: ("stale", "mount"),
    errno.EPIPE: ("nobody reads", "read to its end"),
}


@pytest.mark.parametrize("number", FIXED)
def test_every_cause_has_its_own_remedy(number: int, tmp_path: Path) -> None:
    cause, remedy = FIXED[number]
    found = shortage(OSError(number, os.strerror(number)), tmp_path)
    assert cause in found.cause
    assert remedy in found.remedy
    assert ("room" in found.remedy) == (number == errno.ENOSPC)
    assert "{" not in found.cause


def test_an_error_of_ours_is_as_good_as_what_caused_it(tmp_path: Path) -> None:
    error = SpoolError("the spool cannot be written")
    error.__cause__ = OSError(errno.EDQUOT, "x")
    assert "quota" in shortage(error, tmp_path).cause


def test_what_is_not_known_keeps_its_words(tmp_path: Path) -> None:
    assert (
        shortage(OSError(errno.EXDEV, "Invalid cross-device link"), tmp_path).cause
        == "Invalid cross-device link"
    )
    assert shortage(ValueError("odd"), tmp_path).cause == "odd"
    assert shortage(sqlite3.OperationalError("database is locked"), tmp_path).cause == "database is locked"


def test_no_more_threads(tmp_path: Path) -> None:
    assert "ulimit -u" in shortage(RuntimeError("can't start new thread"), tmp_path).remedy


_SQLITE = """
import os, resource, signal, sqlite3, sys
from pathlib import Path
from evalrunner.shortage import shortage
path = Path(sys.argv[1]) / "ledger.sqlite"
db = sqlite3.connect(path)
db.execute("CREATE TABLE t (x)")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
which, limit = sys.argv[2], int(sys.argv[3]) or max(map(int, os.listdir("/proc/self/fd")))
resource.setrlimit(getattr(resource, which), (limit, limit))
try:
    if which == "RLIMIT_NOFILE":
        db = sqlite3.connect(path)
    db.execute("INSERT INTO t VALUES (zeroblob(100000))")
    db.commit()
except sqlite3.Error as error:
    print(error, "|", shortage(error, path).remedy)
"""


@pytest.mark.parametrize(
    ("limit", "value", "words", "remedy"),
    [
        ("RLIMIT_NOFILE", "0", "unable to open database file", "raise `ulimit -n`, or use fewer --workers"),
        ("RLIMIT_FSIZE", "20000", "disk I/O error", "raise `ulimit -f`"),
    ],
)
def test_what_sqlite_hides_is_found_out(
    limit: str, value: str, words: str, remedy: str, tmp_path: Path
) -> None:
    """SQLite has one sentence for many causes: the folder is tried once more."""
    done = subprocess.run(
        [sys.executable, "-c", _SQLITE, str(tmp_path), limit, value],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{words} | {remedy}"
    assert [path.name for path in tmp_path.glob(".try-*")] == [], "the trial is taken away again"
