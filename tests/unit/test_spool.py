"""The spool: what was said to be durable is read back, and nothing else is ever taken for a record."""

from __future__ import annotations

import errno
import os
import signal
import stat
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalrunner.delivery.spool.record import Header
from evalrunner.delivery.spool.writer import Entry, SpoolWriter, read, read_body
from evalrunner.errors import SpoolError
from tests.support.spools import Book, append, contents, start


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "worker.spool"


def test_what_was_appended_is_read_back(path: Path, book: Book) -> None:
    writer = start(path, book)
    for number in range(100):
        append(writer, number, b"x" * number)
    assert writer.sync(10)

    found = read(path)  # while the writer lives
    assert contents(path, found) == [(n, b"x" * n) for n in range(100)]
    assert found.entries == book.durable
    assert (found.torn, found.damaged, found.boundary) == (0, [], writer.boundary)
    assert found.info["slot"] == 3
    assert found.info["pid"] == os.getpid()
    writer.close()


def test_a_body_is_read_by_path_and_by_descriptor(path: Path, book: Book) -> None:
    writer = start(path, book)
    append(writer, 1, b"one")
    append(writer, 2, b"two")
    writer.close()
    fd = os.open(path, os.O_RDONLY)

    assert [read_body(fd, entry) for entry in book.durable] == [b"one", b"two"]
    assert [read_body(path, entry) for entry in book.durable] == [b"one", b"two"]
    os.close(fd)
    os.truncate(path, book.durable[1].offset + 1)
    with pytest.raises(SpoolError):
        read_body(path, book.durable[1])


def test_two_files_never_share_a_boundary(tmp_path: Path, book: Book) -> None:
    writers = [start(tmp_path / str(n), book) for n in range(20)]

    assert len({writer.boundary for writer in writers}) == 20
    for writer in writers:
        writer.close()


def test_nobody_else_may_read_it(path: Path, book: Book) -> None:
    mask = os.umask(0)
    try:
        start(path, book).close()
    finally:
        os.umask(mask)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_or_link_that_is_there_is_refused(path: Path, book: Book) -> None:
    path.write_bytes(b"precious")
    link = path.with_name("link")
    link.symlink_to(path.with_name("nowhere"))

    for taken in (path, link, path.parent / "missing" / "spool"):
        with pytest.raises(SpoolError, match="cannot be created"):
            start(taken, book)
    assert path.read_bytes() == b"precious"
    assert not path.with_name("nowhere").exists()


def test_a_lone_record_is_durable_long_before_the_interval(path: Path, book: Book) -> None:
    told = threading.Event()
    writer = SpoolWriter(
        path, info={}, on_durable=lambda _: told.set(), on_error=book.on_error, commit_interval=3600
    )
    append(writer, 1, b"x")

    assert told.wait(60)
    writer.close()


def test_records_that_come_while_a_sync_is_under_way_are_synced_together(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncing, go = threading.Event(), threading.Event()
    groups: list[int] = []
    real = os.fdatasync

    def slow(fd: int) -> None:
        syncing.set()
        go.wait(60)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    writer = SpoolWriter(path, info={}, on_durable=lambda e: groups.append(len(e)), on_error=print)
    append(writer, 0, b"")
    assert syncing.wait(60)
    for number in range(1, 51):
        append(writer, number, b"")
    go.set()
    assert writer.sync(10)

    assert groups == [1, 50]
    writer.close()


def test_durable_is_said_in_order_and_after_the_bytes_are_in_the_file(path: Path) -> None:
    seen: list[int] = []
    problems: list[Any] = []

    def on_durable(entries: list[Entry]) -> None:
        seen.extend(entry.seq for entry in entries)
        there = [entry.seq for entry in read(path).entries]
        if there[: len(seen)] != seen:
            problems.append((seen, there))

    writer = SpoolWriter(path, info={}, on_durable=on_durable, on_error=problems.append)
    for number in range(200):
        append(writer, number, b"y" * 50)
    assert writer.sync(10)

    assert seen == list(range(1, 201))
    assert problems == []
    writer.close()


def test_a_sync_that_fails_is_never_tried_again_and_says_nothing_durable(
    path: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def broken(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, "Input/output error")

    writer = start(path, book)
    append(writer, 1, b"good")
    assert writer.sync(10)
    monkeypatch.setattr(os, "fdatasync", broken)
    append(writer, 2, b"bad")

    assert not writer.sync(10)
    assert book.failed.wait(60)
    with pytest.raises(SpoolError, match="can no longer be written"):
        append(writer, 3, b"late")
    assert not writer.sync(10)
    writer.close()
    assert [entry.header.item for entry in book.durable] == [1]
    assert len(calls) == 1
    assert [type(error) for error in book.errors] == [OSError]


def test_after_close_nothing_is_taken(path: Path, book: Book) -> None:
    writer = start(path, book)
    append(writer, 1, b"x")
    writer.close()
    writer.close()

    with pytest.raises(SpoolError, match="closed"):
        append(writer, 2, b"y")
    assert writer.sync(1)
    assert len(book.durable) == 1


def test_a_header_that_is_no_json_harms_nobody_else(path: Path, book: Book) -> None:
    writer = start(path, book)
    with pytest.raises(SpoolError):
        writer.append(Header(1, 1, {"x": {1, 2}}, ()), b"")
    append(writer, 2, b"fine")
    writer.close()

    assert contents(path, read(path)) == [(2, b"fine")]


def test_eight_threads_append_at_once(path: Path, book: Book) -> None:
    writer = start(path, book)
    line = threading.Barrier(8)

    def work(lane: int) -> None:
        line.wait(60)
        for number in range(150):
            append(writer, lane * 1000 + number, b"%d" % lane * number)

    threads = [threading.Thread(target=work, args=(lane,)) for lane in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    writer.close()

    found = contents(path, read(path))
    assert len(found) == 8 * 150
    for lane in range(8):
        mine = [(item - lane * 1000, body) for item, body in found if item // 1000 == lane]
        assert mine == [(n, b"%d" % lane * n) for n in range(150)]
    assert [entry.seq for entry in book.durable] == list(range(1, 8 * 150 + 1))


def test_a_forked_child_writes_nothing(path: Path, book: Book) -> None:
    writer = start(path, book)
    append(writer, 1, b"parent")
    assert writer.sync(10)
    with writer._lock, warnings.catch_warnings():  # as if another thread were appending just now
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if child == 0:
            os._exit(_misuse(writer))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    append(writer, 2, b"parent again")
    writer.close()

    assert contents(path, read(path)) == [(1, b"parent"), (2, b"parent again")]


def _misuse(writer: SpoolWriter) -> int:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(5)  # it would wait for ever for a lock that nobody releases here
    try:
        append(writer, 9, b"child")
    except SpoolError:
        writer.close()
        return 1 if writer.sync(1) else 0
    return 2


def test_the_writer_sleeps_while_there_is_nothing_to_do(path: Path, book: Book) -> None:
    writer = start(path, book)
    append(writer, 1, b"x")
    assert writer.sync(10)

    assert wakeups(writer._thread) == 0
    writer.close()


def wakeups(thread: threading.Thread) -> int:
    """Return how often a thread wakes in a third of a second, at best: it may take a while to get to sleep."""
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def switches() -> int:
        return int(status.read_text().rsplit("nonvoluntary", 1)[0].rsplit(":", 1)[1])

    def woken() -> int:
        before = switches()
        threading.Event().wait(0.3)
        return switches() - before

    fewest = woken()
    for _ in range(60):
        if not fewest:
            break
        fewest = min(fewest, woken())
    return fewest


def test_a_callback_that_raises_ends_the_spool(path: Path, book: Book) -> None:
    def on_durable(_: list[Entry]) -> None:
        raise ValueError("the book is full")

    on_error: Callable[[Exception], None] = book.on_error
    writer = SpoolWriter(path, info={}, on_durable=on_durable, on_error=on_error)
    append(writer, 1, b"x")

    assert not writer.sync(10)
    assert book.failed.wait(60)
    with pytest.raises(SpoolError, match="the book is full"):
        append(writer, 2, b"y")
    writer.close()
