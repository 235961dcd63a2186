"""The spool: what was said to be durable is read back, and nothing else is ever taken for a record."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalrunner.delivery.spool.record import Header, Op
from evalrunner.delivery.spool.writer import FILE_HEADER_SIZE, Entry, SpoolFile, SpoolWriter, read, read_body
from evalrunner.errors import SpoolError

FRAME_HEAD = 32


class Book:
    """Hears what a writer says."""

    def __init__(self) -> None:
        self.durable: list[Entry] = []
        self.errors: list[Exception] = []
        self.failed = threading.Event()

    def on_error(self, error: Exception) -> None:
        self.errors.append(error)
        self.failed.set()


def start(path: Path, book: Book, **options: Any) -> SpoolWriter:
    return SpoolWriter(
        path, info={"slot": 3}, on_durable=book.durable.extend, on_error=book.on_error, **options
    )


def header(number: int, length: int) -> Header:
    return Header(number, 1, {"n": number}, (Op("post", f"run-{number}", 0, length),))


def append(writer: SpoolWriter, number: int, body: bytes) -> None:
    writer.append(header(number, len(body)), body)


def contents(path: Path, found: SpoolFile) -> list[tuple[int, bytes]]:
    """Return (item, body) of what was read, and check that header and frame belong together."""
    several = []
    for entry in found.entries:
        assert entry.header.item is not None
        assert entry.header == header(entry.header.item, entry.length)
        several.append((entry.header.item, read_body(path, entry)))
    return several


def frames(found: SpoolFile) -> list[tuple[int, int]]:
    """Return (begin, end) of each frame."""
    ends = [entry.offset + entry.length for entry in found.entries]
    return list(zip([FILE_HEADER_SIZE, *ends], ends, strict=False))


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "worker.spool"


@pytest.fixture
def filled(path: Path, book: Book) -> tuple[bytes, list[tuple[int, bytes]], SpoolFile]:
    """A closed file of six records: its bytes, what was put in, and what is read of it."""
    rng = random.Random(7)
    several = [(n, rng.randbytes(rng.randrange(60))) for n in range(6)]
    writer = start(path, book)
    for number, body in several:
        append(writer, number, body)
    writer.close()
    return path.read_bytes(), several, read(path)


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


# What a death leaves behind


def test_cut_at_every_byte_only_whole_records_come_back(
    path: Path, filled: tuple[bytes, list[tuple[int, bytes]], SpoolFile]
) -> None:
    data, several, whole = filled
    ends = [end for _, end in frames(whole)]
    for size in range(len(data), -1, -1):
        os.truncate(path, size)
        found = read(path)
        kept = sum(end <= size for end in ends)
        assert contents(path, found) == several[:kept]
        begin = 0 if size < FILE_HEADER_SIZE else [FILE_HEADER_SIZE, *ends][kept]
        assert (found.torn, found.damaged) == (size - begin, [])


def test_a_flipped_bit_costs_one_record_and_never_makes_one(
    path: Path, filled: tuple[bytes, list[tuple[int, bytes]], SpoolFile]
) -> None:
    data, several, whole = filled
    rng = random.Random(11)
    refused = 0
    for _ in range(2000):
        bit = rng.randrange(FILE_HEADER_SIZE // 2 * 8, len(data) * 8)
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        path.write_bytes(wrong)
        if bit // 8 < FILE_HEADER_SIZE:
            with pytest.raises(SpoolError, match="damaged"):
                read(path)
            refused += 1
            continue
        hit = [begin <= bit // 8 < end for begin, end in frames(whole)].index(True)
        found = read(path)
        assert contents(path, found) == several[:hit] + several[hit + 1 :]
        assert found.damaged or found.torn
        if hit < len(several) - 1:
            assert [offset for offset, _ in found.damaged] == [frames(whole)[hit][0]]
    assert 0 < refused < 2000


def test_two_frames_that_changed_places_are_not_both_believed(
    path: Path, filled: tuple[bytes, list[tuple[int, bytes]], SpoolFile]
) -> None:
    data, several, whole = filled
    (a, b), (_, c) = frames(whole)[2:4]
    path.write_bytes(data[:a] + data[b:c] + data[a:b] + data[c:])

    found = read(path)
    assert contents(path, found) == [*several[:2], several[3], *several[4:]]
    assert len(found.damaged) == 2


def test_a_frame_that_is_missing_or_double_is_told(
    path: Path, filled: tuple[bytes, list[tuple[int, bytes]], SpoolFile]
) -> None:
    data, several, whole = filled
    begin, end = frames(whole)[2]
    path.write_bytes(data[:begin] + data[end:])
    without = read(path)
    path.write_bytes(data[:end] + data[begin:])
    double = read(path)

    assert contents(path, double) == several
    assert [why for _, why in without.damaged] == ["1 record(s) before record 4 are missing"]
    assert [item for item, _ in ((e.header.item, e) for e in without.entries)] == [0, 1, 3, 4, 5]
    assert [why for _, why in double.damaged] == ["record 3 stands behind record 3"]


def test_a_spool_inside_a_record_is_never_taken_for_records(tmp_path: Path, book: Book) -> None:
    inner = tmp_path / "inner"
    other = start(inner, Book())
    for number in range(77, 84):
        append(other, number, b"forged")
    other.close()
    path = tmp_path / "outer"
    writer = start(path, book)
    append(writer, 1, b"first")
    assert writer.sync(10)
    append(writer, 2, b"<<" + inner.read_bytes() + path.read_bytes() + b">>")  # and this spool so far
    append(writer, 3, b"third")
    writer.close()
    data = bytearray(path.read_bytes())
    data[book.durable[1].offset] ^= 1  # the outer frame can no longer be believed
    path.write_bytes(data)

    found = read(path)
    assert contents(path, found) == [(1, b"first"), (3, b"third")]
    assert [why for _, why in found.damaged] == ["the checksum is wrong"]


@pytest.mark.parametrize("split", range(-1, 10))
def test_a_mark_that_lies_across_two_chunks_is_found(path: Path, book: Book, split: int) -> None:
    begin = (
        FILE_HEADER_SIZE + 1 + (1 << 20) - split
    )  # of the second frame; the search starts behind the first mark
    length = begin - FILE_HEADER_SIZE - FRAME_HEAD - len(header(0, 1 << 20).to_json())
    writer = start(path, book)
    append(writer, 0, b"z" * length)
    append(writer, 1, b"z" * (3 << 20))
    append(writer, 2, b"")
    writer.close()
    assert frames(read(path))[1][0] == begin
    data = bytearray(path.read_bytes())
    data[FILE_HEADER_SIZE + 9] ^= 1
    path.write_bytes(data)

    assert [entry.header.item for entry in read(path).entries] == [1, 2]


@pytest.mark.parametrize("data", [b"x", b"SQLite format 3\0", b"\0" * 5000, b"EVSPOOL\x02" + b"\0" * 5000])
def test_what_is_no_spool_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)

    with pytest.raises(SpoolError, match="not a spool"):
        read(path)


def test_a_length_that_lies_reads_no_further_than_the_file(path: Path, book: Book) -> None:
    writer = start(path, book)
    append(writer, 1, b"one")
    append(writer, 2, b"two")
    writer.close()
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, FILE_HEADER_SIZE + 16, 2**63)
    path.write_bytes(data)

    found = read(path)
    assert contents(path, found) == [(2, b"two")]
    assert found.damaged == [(FILE_HEADER_SIZE, "the frame is not whole")]


# Disks that are full, processes that are killed

WRITE_UNTIL_FULL = """
import os, sys, threading
from evalrunner.delivery.spool.record import Header
from evalrunner.delivery.spool.writer import SpoolWriter
from evalrunner.errors import SpoolError

path, limit = sys.argv[1], int(sys.argv[2])
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
failed = threading.Event()

def say(line):  # in one piece, from either thread
    os.write(1, f"{line}\\n".encode())

def on_error(error):
    say(f"error {error.errno}")
    failed.set()

writer = SpoolWriter(path, info={}, on_durable=lambda e: [say(f"durable {x.seq}") for x in e],
                     on_error=on_error)
try:
    while True:
        writer.append(Header(1, 1, {}, ()), b"q" * 3001)
        writer.sync(10)
except SpoolError as error:
    say("refused")
say(f"failed {failed.wait(60)} {writer.sync(1)}")
writer.close()
"""


def write_until_full(path: Path, limit: int) -> tuple[list[int], list[str]]:
    command = [sys.executable, "-c", WRITE_UNTIL_FULL, str(path), str(limit)]
    said = subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=True
    ).stdout.splitlines()
    durable = [int(line.split()[1]) for line in said if line.startswith("durable")]
    return durable, [line for line in said if not line.startswith("durable")]


def check_full(path: Path, limit: int, code: int) -> None:
    durable, rest = write_until_full(path, limit)

    assert sorted(rest) == [f"error {code}", "failed True False", "refused"]
    found = read(path)
    assert durable
    assert [entry.seq for entry in found.entries] == durable
    assert found.damaged == []
    assert {read_body(path, entry) for entry in found.entries} == {b"q" * 3001}


def test_a_file_size_limit_ends_the_spool_and_nothing_false_is_said(path: Path) -> None:
    check_full(path, 40_000, errno.EFBIG)
    assert path.stat().st_size == 40_000  # the last write took a part of its frame


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_spool_and_nothing_false_is_said(small_disk: Path) -> None:
    check_full(small_disk / "spool", 0, errno.ENOSPC)


WRITE_FOR_EVER = """
import os, random, sys
from evalrunner.delivery.spool.record import Header
from evalrunner.delivery.spool.writer import SpoolWriter

def on_durable(entries):
    os.write(1, b"".join(b"%d\\n" % entry.seq for entry in entries))

writer = SpoolWriter(sys.argv[1], info={}, on_durable=on_durable, on_error=lambda e: os._exit(9))
rng = random.Random(int(sys.argv[2]))
number = 0
while True:
    number += 1
    writer.append(Header(number, 1, {}, ()), number.to_bytes(8, "little") * rng.randrange(200))
    if number % 40 == 0:
        writer.sync()
"""


def test_what_was_said_to_be_durable_outlives_a_sigkill(tmp_path: Path) -> None:
    rng = random.Random(3)
    torn = 0
    for attempt in range(20):
        path = tmp_path / str(attempt)
        command = [sys.executable, "-c", WRITE_FOR_EVER, str(path), str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            said = child.stdout.read(rng.randrange(1, 4000))
            child.kill()
            said += child.stdout.read()
        told = [int(line) for line in said.split(b"\n")[:-1]]
        found = read(path)
        assert [entry.seq for entry in found.entries[: len(told)]] == told
        assert told
        assert found.damaged == []
        for entry in found.entries:
            body = read_body(path, entry)
            assert body == entry.seq.to_bytes(8, "little") * (len(body) // 8)
        torn += found.torn > 0
    print(f"{torn} of 20 files ended in a torn frame")


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
