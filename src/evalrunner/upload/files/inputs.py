"""The files that are uploaded: opened, judged, read once in order, and again by place."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from evalrunner.errors import ConfigError
from evalrunner.upload.files.element import Element
from evalrunner.upload.files.values import Values
from evalrunner.upload.files.window import SPAN, Window


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
        """
        self.names: list[str] = []
        self.size = 0
        self._span = span
        self._hash = hashlib.sha256()
        self._fds: list[int] = []
        self._was: list[tuple[int, int, int]] = []
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for path in paths:
                self._open(path)
            undo.pop_all()

    def _open(self, path: Path | None) -> None:
        if path is None:
            raise ConfigError("standard input cannot be read yet")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
        self._fds.append(fd)
        self.names.append(str(path))
        self._was.append(_state(fd))
        self.size += self._was[-1][0]
        if not self._was[-1][0]:
            raise ConfigError(f"{path} is empty: there are no runs to upload")

    def __enter__(self) -> Inputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        while self._fds:
            os.close(self._fds.pop())

    @property
    def fingerprint(self) -> str:
        """The hash of all bytes that were read; of everything once `elements` has come to its end."""
        return self._hash.hexdigest()

    def elements(self) -> Iterator[Element]:
        """Return what is in the files, in order, in bounded memory."""
        self._hash = hashlib.sha256()
        for number, fd in enumerate(self._fds):
            window = Window(fd, self._hash.update, self._span)
            for ordinal, piece in enumerate(Values(window), start=1):
                yield Element(
                    number, piece.line, ordinal, piece.offset, len(piece.data), piece.data, piece.fault
                )
            window.drain()

    def read(self, file: int, offset: int, length: int) -> bytes:
        """Return bytes of a readable file; for any thread."""
        return os.pread(self._fds[file], length, offset)

    def changed(self) -> str | None:
        """Return a sentence if a file is not what it was when it was opened."""
        for name, fd, was in zip(self.names, self._fds, self._was, strict=True):
            if _state(fd) != was:
                return f"{name} has changed while it was read"
        return None


def _state(fd: int) -> tuple[int, int, int]:
    found = os.fstat(fd)
    return found.st_size, found.st_mtime_ns, found.st_ino
