"""A spool's writer that is listened to, and what was read back of its file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from evalrunner.delivery.spool.record import Header, Op
from evalrunner.delivery.spool.writer import FILE_HEADER_SIZE, Entry, SpoolFile, SpoolWriter, read_body

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
