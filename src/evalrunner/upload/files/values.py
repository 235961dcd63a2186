"""The values of a file: those of its arrays, of its lists of runs, and those that stand by themselves (JSONL).

A value's end is found by `msgspec`, which reads the first value of what it is given and says where more begins. So a
cut is never a guess: what is in front of it has been read as JSON. What it refuses is followed by its quotes and
brackets (scanner.py), or is a line, so that one broken value is one fault and the next one is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from evalrunner.upload.files.scanner import Scanner
from evalrunner.upload.files.sound import decode, fault_of, odd
from evalrunner.upload.files.window import Window

_SPACE = re.compile(rb"[ \t\r\n]*")
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_KEY = re.compile(rb'[ \t\r\n]*"((?:[^"\\]|\\.)*)"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_NEXT = re.compile(rb"[ \t\r\n]*,")
_RUNS = b"runs"
#: What a run has and a list of runs has not.
_RUN = frozenset({b"run_type", b"start_time", b"inputs", b"outputs", b"child_runs"})
#: Bytes in which a list of runs says so, and those that are kept of a value that is cut off.
_HEAD, _REST = 1 << 16, 1 << 23
_OPEN_ARRAY, _CLOSE_ARRAY, _OPEN_OBJECT, _CLOSE_OBJECT, _COMMA, _COLON = b"[]{},:"
_CUT = "the file ends here, and what was begun is not closed: what follows is not in it"


class Piece(msgspec.Struct, frozen=True, gc=False):
    """A value: where it begins, its bytes, its line if the file has lines, and what is wrong with it."""

    offset: int
    data: bytes
    line: int | None
    fault: str | None


def end_of(data: memoryview, last: bool = False) -> int | None:
    """Return where the first value of `data` ends; None if that cannot be said.

    Args:
        last: nothing follows the data; otherwise a value at its end may go on.
    """
    try:
        decode(data)
    except msgspec.DecodeError as error:
        found = _TRAILING.search(str(error))
        return int(found[1]) - 1 if found else None
    except RecursionError:
        return None
    return len(data) if last else None


class Values:
    """The values of one file, in one pass."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._at = 0
        self._line: int | None = None

    def __iter__(self) -> Iterator[Piece]:
        self._window.more(0, _HEAD)
        data = self._window.data
        if data.startswith(b"\xef\xbb\xbf"):
            self._at = 3
        self._line = 1 if _has_lines(data[self._at :]) else None
        while (byte := self._skip()) is not None:
            if byte == _OPEN_ARRAY:
                self._at += 1
                yield from self._array()
            elif byte == _OPEN_OBJECT and self._enter():
                yield from self._array()
                yield from self._leave()
            elif byte == _COMMA:
                self._at += 1
            else:
                yield self._value(lines=self._line is not None)

    def _skip(self) -> int | None:
        """Go to the next byte that is no space; return it, or None at the end of the file."""
        while True:
            data = self._window.data
            found = _SPACE.match(data, self._at)
            end = found.end() if found else self._at
            if self._line is not None:
                self._line += data.count(b"\n", self._at, end)
            self._at = end
            if end < len(data):
                return data[end]
            if not self._more():
                return None

    def _more(self, least: int = 0) -> bool:
        there = self._window.more(self._at, least)
        self._at = 0
        return there

    def _array(self) -> Iterator[Piece]:
        while (byte := self._skip()) != _CLOSE_ARRAY:
            if byte is None:
                yield Piece(self._window.at + self._at, b"", self._line, _CUT)
                return
            if byte == _COMMA:
                self._at += 1
            elif byte == _OPEN_OBJECT and self._enter():
                yield from self._array()
                yield from self._leave()
            else:
                yield self._value(lines=False)
        self._at += 1

    def _enter(self) -> bool:
        """Go into the list of runs of an object that has one; stay where it is a run."""
        if b'"runs"' not in self._window.data[self._at : self._at + _HEAD]:
            if len(self._window.data) - self._at >= _HEAD or self._window.ended:
                return False
            self._more(_HEAD)
        head = self._window.data[self._at : self._at + _HEAD]
        found = _list_of_runs(head)
        if found is None:
            return False
        self._at += found
        return True

    def _leave(self) -> Iterator[Piece]:
        """Go behind the object of a list of runs."""
        while (byte := self._skip()) != _CLOSE_OBJECT:
            if byte is None:
                yield Piece(self._window.at + self._at, b"", self._line, _CUT)
                return
            if byte in (_COMMA, _COLON):
                self._at += 1
            else:
                self._value(lines=False)
        self._at += 1

    def _value(self, lines: bool) -> Piece:
        window = self._window
        end = end_of(memoryview(window.data)[self._at :], window.ended)
        if end is None and not window.ended:
            self._more()
            end = end_of(memoryview(window.data), window.ended)
        if end is not None:
            return self._take(end, odd)
        return self._line_of_it() if lines else self._followed()

    def _take(self, length: int, judge: Callable[[bytes], str | None]) -> Piece:
        start = self._at
        data = self._window.data[start : start + length].rstrip(b" \t\r\n")
        piece = Piece(self._window.at + start, data, self._line, judge(data))
        if self._line is not None:
            self._line += data.count(b"\n")
        self._at = start + len(data)
        return piece

    def _line_of_it(self) -> Piece:
        looked = self._at
        while (end := self._window.data.find(b"\n", looked)) < 0:
            looked = len(self._window.data) - self._at
            if not self._more():
                end = len(self._window.data)
                break
        return self._take(end - self._at, fault_of)

    def _followed(self) -> Piece:
        scanner = Scanner()
        while True:
            rest = memoryview(self._window.data)[self._at :]
            end = scanner.end(rest, self._window.ended)
            if end is not None:
                return self._take(end, fault_of)
            if not self._more():
                return self._cut_off()

    def _cut_off(self) -> Piece:
        whole = len(self._window.data) - self._at
        piece = self._take(min(whole, _REST), fault_of)
        if piece.fault is None:
            return piece
        self._at = len(self._window.data)
        more = f"; {whole - _REST} more bytes are behind it" if whole > _REST else ""
        return Piece(piece.offset, piece.data, piece.line, f"cut off: the file ends inside of it{more}")


def _has_lines(head: bytes) -> bool:
    """Tell whether values stand on lines of their own: the second line begins with one, or there is none."""
    head = head.lstrip(b" \t\r\n")
    _, newline, rest = head.partition(b"\n")
    if not newline or head.startswith(b"["):
        return not head.startswith(b"[")
    rest = rest.lstrip(b"\r\n")
    return not rest.strip() or rest[:1] in b"{["


def _list_of_runs(head: bytes) -> int | None:
    """Return where the items of an object's "runs" begin, or None if it has none or is a run itself."""
    at = 1
    while key := _KEY.match(head, at):
        name, at = key[1], key.end()
        if name == _RUNS and head[at : at + 1] == b"[":
            return at + 1
        if name in _RUN:
            return None
        length = end_of(memoryview(head)[at:])
        comma = _NEXT.match(head, at + length) if length else None
        if comma is None:
            return None
        at = comma.end()
    return None
