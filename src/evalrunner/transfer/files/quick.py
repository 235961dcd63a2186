"""Many values at once: those that lie side by side in a part of a file, found and judged in a few passes of C.

A part is cut where two values probably meet. If what is in front of the cut parses as values, it was a border: half a
value is no JSON. UTF-8 and numbers, which the parser passes over, are looked at once for the whole part. Where
anything is odd, nothing is taken, and the part is left to the slow path (values.py), which says what it is. So both
find the same, and one of them sooner (tests/unit/test_recorded_quick.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
from msgspec import Raw

from evalrunner.transfer.files.plain import Told, told
from evalrunner.transfer.files.sound import alike, encoded, may_be_deep, may_be_huge

#: Bytes that are looked at at once: they stay in the processor's cache.
PART = 1 << 16
#: Cuts that are tried: what looks like a border may stand in a value.
_TRIES = 8
_BORDER = re.compile(rb'\}[ \t\r\n]*,[ \t\r\n]*\{[ \t\r\n]*(?:"[^"\\]*")?')
_array = msgspec.json.Decoder(list[Raw]).decode
_lines = msgspec.json.Decoder(Raw).decode_lines

Found = tuple[int, int, "Told | bytes"]
"""Where a value begins, how many bytes it has, and what it tells; the bytes where that is not all of it."""


def border_at(data: bytes, at: int) -> bytes | None:
    """Return what stands between two objects of an array, the brackets and the second one's first key with it.

    Args:
        at: behind the first.
    """
    found = _BORDER.match(data, at - 1) if at else None
    return found[0] if found else None


def lines(data: bytes, at: int, size: int) -> list[Found]:
    """Return the objects on the next lines, or nothing if one is odd.

    Args:
        at: where the first one begins.
        size: how many bytes to look at.
    """
    part = data[at : data.rfind(b"\n", at, at + size) + 1]
    return _taken(part, at, _parsed(_lines, part))


def items(data: bytes, at: int, size: int, border: bytes) -> list[Found]:
    """Return the next objects of an array, or nothing if one is odd; the arguments are those of `lines`."""
    end = at + size
    for _ in range(_TRIES):
        end = data.rfind(border, at, end)
        if end < 0:
            break
        part = b"".join((b"[", memoryview(data)[at : end + 1], b"]"))
        if values := _parsed(_array, part):
            return _taken(part, at - 1, values)
    return []


def _parsed(parse: Callable[[bytes], list[Raw]], part: bytes) -> list[Raw]:
    try:
        return parse(part)
    except (msgspec.DecodeError, RecursionError):
        return []


def _taken(part: bytes, at: int, values: list[Raw]) -> list[Found]:
    if not values or not encoded(part) or may_be_huge(same := alike(part)):
        return []
    found: list[Found] = []
    end = 0
    for value in values:
        # What stands in front of it is spaces, commas, a list's beginning; if it is no object, that is seen below.
        begin = part.find(b"{", end)
        length = memoryview(value).nbytes
        end = begin + length
        if may_be_deep(same, begin, end):
            break
        run: Told | bytes | None = told(value)
        if run is None:
            run = bytes(value)
            if run[:1] != b"{" or b'runs"' in run:
                break
        found.append((at + begin, length, run))
    return found
