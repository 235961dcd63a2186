"""A spool in segments: every record in order, whichever files are there; a death at any moment damages nothing."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from evalrunner.delivery.spool.files import in_order, segment_path, segments_of, stem_of
from evalrunner.delivery.spool.record import Header, Op
from evalrunner.delivery.spool.writer import FILE_HEADER_SIZE, Entry, LastFile, SpoolWriter, read
from evalrunner.errors import SpoolError


class Book:
    """Hears what a writer says."""

    def __init__(self) -> None:
        self.durable: list[Entry] = []
        self.failed = threading.Event()


def start(path: Path, book: Book, **options: Any) -> SpoolWriter:
    return SpoolWriter(
        path,
        info={"worker": 7},
        on_durable=book.durable.extend,
        on_error=lambda _: book.failed.set(),
        **{"segment_bytes": FILE_HEADER_SIZE + 1000, **options},
    )


def append(writer: SpoolWriter, number: int, size: int = 400) -> None:
    writer.append(Header(number, 1, {}, (Op("post", f"run-{number}", 0, size),)), bytes([number]) * size)


def test_segments_hold_every_record_once_and_in_order(tmp_path: Path) -> None:
    path, book = tmp_path / "000007.spool", Book()
    writer = start(path, book)
    for number in range(40):
        append(writer, number)
    writer.close()
    files = segments_of(path)
    assert len(files) > 10, "so that names do not sort as numbers do"
    assert files == [segment_path(path, number) for number in range(1, len(files) + 1)]
    assert {stem_of(file) for file in files} == {"000007"}
    found = [read(file) for file in files]
    assert all(not one.damaged and not one.torn for one in found)
    assert {one.boundary for one in found} == {writer.boundary}
    entries = [entry for one in found for entry in one.entries]
    assert [entry.seq for entry in entries] == list(range(1, 41))
    assert entries == book.durable
    last = LastFile()
    bodies = [last.body(path, entry) for entry in entries]
    held = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    assert held & set(map(str, files)) == {str(files[-1])}, "one file is open at a time"
    last.close()
    assert bodies == [bytes([number]) * 400 for number in range(40)]


def test_the_first_segments_may_be_gone(tmp_path: Path) -> None:
    path, book = tmp_path / "000007.spool", Book()
    writer = start(path, book)
    for number in range(9):
        append(writer, number)
    assert writer.sync(10)
    path.unlink()
    append(writer, 9)
    writer.close()
    files = segments_of(path)
    assert path not in files
    left = [entry for file in files for entry in read(file).entries]
    assert [entry.seq for entry in left] == list(range(left[0].seq, 11))
    assert all(not read(file).damaged for file in files)


def test_a_death_while_a_segment_is_begun_leaves_nothing_damaged(tmp_path: Path) -> None:
    path, book = tmp_path / "000007.spool", Book()
    writer = start(path, book)
    for number in range(5):
        append(writer, number)
    writer.close()
    whole = segment_path(path, 2).read_bytes()
    for size in (0, 1, 8, 100, FILE_HEADER_SIZE - 1, FILE_HEADER_SIZE):
        segment_path(path, 2).write_bytes(whole[:size])
        found = read(segment_path(path, 2))
        assert (found.entries, found.damaged) == ([], [])
        assert read(path).entries[0].seq == 1


def test_a_segment_that_cannot_be_begun_ends_the_spool_and_keeps_what_was_written(tmp_path: Path) -> None:
    path, book = tmp_path / "000007.spool", Book()
    segment_path(path, 2).write_bytes(b"somebody else's")
    writer = start(path, book)
    for number in range(3):
        append(writer, number)
    with pytest.raises(SpoolError, match="can no longer be written"):
        append(writer, 3)
    assert book.failed.wait(60)
    assert segment_path(path, 2).read_bytes() == b"somebody else's"
    assert [entry.seq for entry in read(path).entries] == [1, 2, 3]


def test_files_of_many_spools_sort_by_spool_and_segment(tmp_path: Path) -> None:
    names = ["000001.spool", "000001.2.spool", "000001.10.spool", "000002.spool", "graves-0001.spool"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in in_order(tmp_path.glob("*.spool"))] == names
    assert segments_of(tmp_path / "graves-0001.spool") == [tmp_path / "graves-0001.spool"]
