"""What a death leaves behind of a spool, and what damages one: whole records come back, and nothing else does."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest

from evalrunner.delivery.spool.writer import FILE_HEADER_SIZE, SpoolFile, read
from evalrunner.errors import SpoolError
from tests.support.spools import FRAME_HEAD, Book, append, contents, frames, header, start


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
