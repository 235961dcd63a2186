"""The files that are uploaded: opened, judged, read once in order, and again by place."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from evalrunner.transfer.files.element import Element
from evalrunner.transfer.files.piece import Piece
from evalrunner.transfer.files.places import expanded
from evalrunner.transfer.files.readable import Readable, opened
from evalrunner.transfer.files.scratch import Scratch
from evalrunner.transfer.files.shapes import HEAD, judge
from evalrunner.transfer.files.values import Values
from evalrunner.transfer.files.window import SPAN, Window

#: Files that are held open; of more, each is opened when it is read: a folder may have as many as it likes.
_OPEN = 64


class Hash(Protocol):
    """What is told of every byte that is read, once."""

    def update(self, data: bytes, /) -> None:
        """Take some."""

    def hexdigest(self) -> str:
        """Return the hash of all."""


class Inputs:
    """Files with recorded runs. A context manager: it closes them.

    Attributes:
        names: the files as the user gave them, for sentences.
        size: bytes of all readable files.
    """

    def __init__(self, paths: Sequence[Path | None], scratch: Path, span: int = SPAN) -> None:
        """Open the files, and look at the beginning of each.

        Args:
            paths: files and folders; None is standard input. A folder stands for the .json, .jsonl, .ndjson, .gz,
                .zst and .parquet files directly in it, by name.
            scratch: an existing folder of ours, where what cannot be read at any place is copied to.
            span: how many bytes are read at once.

        Raises:
            ConfigError: a file is not there, cannot be read, or holds nothing.
            DataError: a file holds something else than runs.
            RunFolderError: there is no room for a copy.
        """
        self._span = span
        self._hash: Hash = hashlib.sha256()
        self._scratch = Scratch(scratch)
        self._files: list[Readable] = []
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for path in expanded(paths):
                file = opened(path, self._scratch)
                self._files.append(file)
                judge(file.name, file.read(0, HEAD), self._values(file, _ignore))
                if len(self._files) > _OPEN:
                    self._files[-1] = file.shut()
            undo.pop_all()
        self.names = [file.name for file in self._files]
        self.size = sum(file.end - file.begin for file in self._files)

    def __enter__(self) -> Inputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; copies are gone."""
        while self._files:
            self._files.pop().shut()
        self._scratch.close()

    @property
    def fingerprint(self) -> str:
        """The hash of all bytes that were read; of everything once `elements` has come to its end."""
        return self._hash.hexdigest()

    def elements(self, part: int = 0, hashing: Hash | None = None) -> Iterator[Element]:
        """Return what is in the files, in order, in bounded memory.

        Args:
            part: of how many bytes at once runs that are nothing special are told, without their bytes; 0: of none.
            hashing: makes the fingerprint.
        """
        self._hash = hashing or hashlib.sha256()
        for number, file in enumerate(self._files):
            for ordinal, piece in enumerate(self._values(file, self._hash.update, part), start=1):
                length = piece.size or len(piece.data)
                yield Element(
                    number, piece.line, ordinal, piece.offset, length, piece.data, piece.fault, piece.told
                )

    def _values(self, file: Readable, seen: Callable[[bytes], object], part: int = 0) -> Iterator[Piece]:
        window = Window(file.read, seen, self._span)
        yield from Values(window, part=part)
        window.drain()
        if file.missing:
            yield Piece(file.end - file.begin, b"", None, f"{file.missing}: what followed is missing")

    def read(self, file: int, offset: int, length: int) -> bytes:
        """Return bytes of a readable file; for any thread."""
        return self._files[file].read(offset, length)

    def changed(self) -> str | None:
        """Return a sentence if a file is not what it was when it was opened."""
        return next((sentence for file in self._files if (sentence := file.changed())), None)


def _ignore(data: bytes) -> None:
    """Take note of nothing."""
