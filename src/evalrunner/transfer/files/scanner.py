"""Where a JSON value ends, found by its quotes and brackets alone: for what the fast parser refuses.

NaN, lone surrogates, control characters and the like do not mislead it; it goes on where it was when more bytes are
there, so that a value is read once however long it is.
"""

from __future__ import annotations

import re

_OUTSIDE = re.compile(rb'["\[\]{},]')
_INSIDE = re.compile(rb'["\\]')
_SCALAR_END = re.compile(rb"[\s,\[\]{}]")
_OPENS = {0x5D: 0x5B, 0x7D: 0x7B}  # ] -> [, } -> {
_QUOTE, _BACKSLASH, _COMMA = 0x22, 0x5C, 0x2C


class Scanner:
    """Follows one value from its first byte on.

    Attributes:
        deepest: how many brackets stood inside each other.
    """

    def __init__(self) -> None:
        self.deepest = 0
        self._at = 0
        self._open = bytearray()
        self._string = False
        self._fresh = True

    def end(self, data: memoryview, last: bool) -> int | None:
        """Return the number of bytes of the value, or None if it goes on behind `data`.

        Args:
            data: the value's bytes from its first on; at least as many as the last time.
            last: no more bytes will come; what is open then is cut off.

        A bracket that closes what is not open ends the value in front of it: it belongs to what stands around.
        """
        while True:
            if self._string:
                if not self._through(data):
                    return None
                if not self._open:
                    return self._at
                continue
            if self._fresh and data[0] not in b'"[{':
                return self._scalar(data, last)
            self._fresh = False
            found = _OUTSIDE.search(data, self._at)
            if found is None:
                self._at = len(data)
                return None
            self._at = found.end()
            if self._structure(data[found.start()]):
                return self._at

    def forget(self, length: int) -> None:
        """Count from `length` bytes further on: what is before it will not be shown again."""
        self._at -= length

    def _scalar(self, data: memoryview, last: bool) -> int | None:
        found = _SCALAR_END.search(data)
        if found:
            return max(found.start(), 1)
        return len(data) if last else None

    def _structure(self, byte: int) -> bool:
        """Take one of `"[]{},`; tell whether the value has ended."""
        if byte == _QUOTE:
            self._string = True
        elif byte in b"[{":
            self._open.append(byte)
            self.deepest = max(self.deepest, len(self._open))
        elif byte != _COMMA:
            return self._close(byte)
        return False

    def _close(self, byte: int) -> bool:
        while self._open and self._open[-1] != _OPENS[byte]:
            self._open.pop()
        if not self._open:
            self._at -= 1  # it closes what stands around this value
            return True
        self._open.pop()
        return not self._open

    def _through(self, data: memoryview) -> bool:
        """Go to the end of the string; tell whether it is there."""
        while True:
            found = _INSIDE.search(data, self._at)
            if found is None:
                self._at = len(data)
                return False
            if data[found.start()] == _QUOTE:
                self._at, self._string = found.end(), False
                return True
            if found.end() >= len(data):  # what is escaped comes with the next bytes
                self._at = found.start()
                return False
            self._at = found.end() + 1
