"""Copies of what cannot be read at any place: standard input, pipes, what is packed, tables."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from evalrunner.errors import RunFolderError
from evalrunner.shortage import shortage
from evalrunner.transfer.files.unpack import CutOff


class Copy(NamedTuple):
    """Where a copy is: its file, where it begins and ends there, and why it ends early, if it does."""

    fd: int
    begin: int
    end: int
    missing: str | None


class Scratch:
    """One file for all copies. It has no name, so that nothing is left of it, however this process ends."""

    def __init__(self, folder: Path) -> None:
        """Make it in a folder when it is first written to.

        Args:
            folder: where there is room.
        """
        self._folder = folder
        self._fd = -1
        self._end = 0

    def copy(self, name: str, pieces: Iterable[bytes]) -> Copy:
        """Write a copy.

        Args:
            name: of what is copied, for sentences.

        Raises:
            RunFolderError: there is no room.
        """
        begin, why = self._end, None
        try:
            for piece in pieces:
                self._write(name, piece)
        except CutOff as cut:
            why = str(cut)
        return Copy(self._opened(name), begin, self._end, why)

    def _write(self, name: str, piece: bytes) -> None:
        left = memoryview(piece)
        fd = self._opened(name)
        while left:
            try:
                written = os.pwrite(fd, left, self._end)
            except OSError as error:
                raise self._full(name, error) from None
            self._end += written
            left = left[written:]

    def _opened(self, name: str) -> int:
        if self._fd < 0:
            try:
                self._fd, path = tempfile.mkstemp(prefix="readable-", dir=self._folder)
                os.unlink(path)
            except OSError as error:
                raise self._full(name, error) from None
        return self._fd

    def _full(self, name: str, error: OSError) -> RunFolderError:
        found = shortage(error, self._folder)
        return RunFolderError(
            f"{name} cannot be copied to where it can be read: {found.cause}; {found.remedy}"
        )

    def close(self) -> None:
        """Let go of all copies."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
