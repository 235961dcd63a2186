"""The values of a file: those of its arrays, of its lists of runs, and those that stand by themselves (JSONL).

A value's end is found by `msgspec`, which reads the first value of what it is given and says where more begins. So a
cut is never a guess: what is in front of it has been read as JSON. What it refuses is followed by its quotes and
brackets (scanner.py), within its line if the file has lines, so that one broken value is one fault, and the next one
is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from evalrunner.transfer.files import quick
from evalrunner.transfer.files.envelope import list_of_runs
from evalrunner.transfer.files.piece import Piece, has_lines
from evalrunner.transfer.files.scanner import Scanner
from evalrunner.transfer.files.sound import MORE, end_of, fault_of, odd
from evalrunner.transfer.files.window import Window

#: A value that is longer is not held: it is a fault, with its first bytes.
LARGEST = 1 << 28
#: Bytes in which a list of runs says so, and those that are kept of what is cut off or too long.
_HEAD, _KEPT = 1 << 16, 1 << 20
_SHORT = 1 << 13
BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[ \t\r\n]*")
_OPEN_ARRAY, _CLOSE_ARRAY, _OPEN_OBJECT, _CLOSE_OBJECT, _COMMA, _COLON = b"[]{},:"
_UNCLOSED = "the file ends here, and a list in it is not closed: what followed is missing"


class Values:
    """The values of one file, in one pass.

    Args:
        largest: bytes of a value that is held.
        part: bytes that are looked at at once for many runs that are nothing special; 0: every value by itself.
    """

    def __init__(self, window: Window, largest: int = LARGEST, part: int = 0) -> None:
        self._window, self._largest, self._part = window, largest, part
        #: Up to where lines, and items of lists, are read one by one.
        self._slow = [0, 0]
        self._border: bytes | None = None
        self._at = 0
        self._line: int | None = None
        self._inside = 0
        self._unclosed = False

    def __iter__(self) -> Iterator[Piece]:
        self._more(_HEAD)
        self._at = len(BOM) if self._window.data.startswith(BOM) else 0
        self._line = 1 if has_lines(self._window.data[self._at :]) else None
        while (byte := self._skip()) is not None:
            if byte == _OPEN_ARRAY:
                self._at += 1
                yield from self._array()
            elif byte == _COMMA:
                self._at += 1
            else:
                yield from self._value()

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
        """Yield what is in an array, and go behind it."""
        self._inside += 1
        while (byte := self._skip()) != _CLOSE_ARRAY:
            if byte is None:
                yield from self._missing()
                return
            if byte == _COMMA:
                self._at += 1
            else:
                yield from self._value()
        self._at += 1
        self._inside -= 1

    def _value(self) -> Iterator[Piece]:
        """Yield a value, or what is in it if it is a list of runs; or many, where they are nothing special."""
        if self._part and (found := self._many()):
            yield from self._told(found)
            return
        end = self._end()
        if self._enter(end):
            yield from self._array()
            yield from self._leave()
        elif end > 0:
            yield self._take(end, odd)
        elif end == MORE and not self._window.ended:
            yield self._passed_over()
        else:
            yield self._broken()

    def _many(self) -> list[quick.Found]:
        """Return the values that can be taken together from here on."""
        window, inside = self._window, self._inside > 0
        if window.at + self._at < self._slow[inside] or (self._border if inside else self._line) is None:
            return []
        if len(window.data) - self._at < self._part and not window.ended:
            self._more()
        if inside:
            found = quick.items(window.data, self._at, self._part, self._border or b"")
        else:
            found = quick.lines(window.data, self._at, self._part)
        if not found:
            self._slow[inside] = window.at + self._at + self._part
        return found

    def _told(self, found: list[quick.Found]) -> Iterator[Piece]:
        data, base, line = self._window.data, self._window.at, self._line
        for begin, length, run in found:
            if line is not None:
                line += data.count(b"\n", self._at, begin)
                self._line = line + data.count(b"\n", begin, begin + length)
            self._at = begin + length
            if isinstance(run, bytes):
                yield Piece(base + begin, run, line, None)
            else:
                yield Piece(base + begin, b"", line, None, run, length)
            line = self._line

    def _end(self) -> int:
        """Return the length of the value that begins here, or why there is none to be told."""
        while True:
            window = self._window
            rest = memoryview(window.data)[self._at :]
            end = end_of(rest, window.ended)
            if end != MORE or window.ended or len(rest) > self._largest:
                return end
            self._more()

    def _enter(self, end: int) -> bool:
        """Go into the list of runs of an object that has one; stay where it is a run."""
        if end <= 0 and len(self._window.data) - self._at < _HEAD:
            self._more(_HEAD)
        data, length = self._window.data, end if end > 0 else _HEAD
        if data[self._at] != _OPEN_OBJECT:
            return False
        # Its keys are walked through up to the first one of a run; a short value is searched in less time.
        if 0 < end <= _SHORT and data.find(b'runs"', self._at, self._at + end) < 0:
            return False
        found = list_of_runs(memoryview(data)[self._at : self._at + length])
        self._at += found or 0
        return found is not None

    def _leave(self) -> Iterator[Piece]:
        """Go behind the object of a list of runs."""
        while (byte := self._skip()) != _CLOSE_OBJECT:
            if byte is None:
                yield from self._missing()
                return
            if byte in (_COMMA, _COLON):
                self._at += 1
            elif (end := self._end()) > 0:
                self._take(end, odd)
            else:
                self._broken()
        self._at += 1

    def _take(self, length: int, judge: Callable[[bytes], str | None]) -> Piece:
        start = self._at
        data = self._window.data[start : start + length].rstrip(b" \t\r\n")
        piece = Piece(self._window.at + start, data, self._line, judge(data))
        if self._line is not None:
            self._line += data.count(b"\n")
        self._at = start + len(data)
        if self._part and self._inside:
            self._border = quick.border_at(self._window.data, self._at) or self._border
        return piece

    def _missing(self) -> Iterator[Piece]:
        """Yield, once, that the file has ended too early."""
        if not self._unclosed:
            self._unclosed = True
            yield Piece(self._window.at + self._at, b"", self._line, _UNCLOSED)

    def _broken(self) -> Piece:
        """Take what is no value: to where its brackets say, or to the end of its line."""
        if self._line is not None:
            return self._broken_line()
        scanner = Scanner()
        while (end := scanner.end(memoryview(self._window.data)[self._at :], self._window.ended)) is None:
            if not self._more():
                return self._cut_off()
        return self._take(end, fault_of)

    def _broken_line(self) -> Piece:
        looked = self._at
        while (newline := self._window.data.find(b"\n", looked)) < 0:
            looked = len(self._window.data) - self._at
            if not self._more():
                break
        last = newline < 0
        line = memoryview(self._window.data)[self._at : None if last else newline]
        # What is no JSON at all, and in no list, is one fault and not one for each of its words.
        end = Scanner().end(line, True) if self._inside or line[0] in b'{["' else len(line)
        return self._cut_off() if end is None and last else self._take(end or len(line), fault_of)

    def _cut_off(self) -> Piece:
        """Take the rest of the file, which is the beginning of a value; hold on to no more than a little of it."""
        start, data, line = self._window.at + self._at, self._window.data, self._line
        kept = data[self._at : self._at + _KEPT].rstrip(b" \t\r\n")
        self._at = len(data)
        left = self._window.at + len(data.rstrip(b" \t\r\n")) - start - len(kept)
        more = f", {left} bytes further on" if left > 0 else ""
        return Piece(start, kept, line, f"cut off: the file ends inside of it{more}")

    def _passed_over(self) -> Piece:
        """Go behind a value that is too long to be held."""
        start, line = self._window.at + self._at, self._line
        kept, scanner = self._window.data[self._at : self._at + _KEPT], Scanner()
        while True:
            rest = memoryview(self._window.data)[self._at :]
            end = scanner.end(rest, self._window.ended)
            if end is not None:
                break
            scanner.forget(len(rest))
            self._at = len(self._window.data)
            if not self._more():
                end = 0
                break
        self._at += end
        return Piece(
            start, kept, line, f"longer than {self._largest >> 20} MiB; only its first bytes are read"
        )
