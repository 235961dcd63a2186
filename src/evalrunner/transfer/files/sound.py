"""What a JSON value may not have, and the fast parser does not look at, or says in words of its own."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from evalrunner.protocol.values import NESTING

decode = msgspec.json.Decoder(msgspec.Raw).decode

#: All digits alike, and a plus one of them: an exponent of three digits is one sequence. Brackets too, to be counted.
_ALIKE = bytes.maketrans(b"123456789E+{", b"000000000e0[")
_HUGE = b"0e000"
_IN_FRONT = (b"", b":", b",", b"[", b" ", b"\t", b"\n", b"\r")
#: Bytes in front of an exponent that are looked at. With an exponent of two digits at most, a number beyond 10^308
#: has more digits than in `_LONG` before its point. (CPython's way to look for 100 bytes or more takes its time.)
_BEFORE, _LONG = 400, b"0" * 90
#: A run's fields may have as many levels as values have everywhere; the run is one around them.
_LEVELS = NESTING + 1
#: Of a value's brackets and quotes, whichever they are.
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_OPENING = bytes(byte for byte in range(256) if byte not in b"[{")
_OTHERS = bytes(byte for byte in range(256) if byte not in b'[]{}"')


#: Answers of `end_of` where there is no end: more bytes may bring it, or it is no JSON for `msgspec`.
MORE, REFUSED = 0, -1
_TRAILING = "trailing characters (byte "


def end_of(data: memoryview, last: bool) -> int:
    """Return where the first value of `data` ends, spaces behind it included, or `MORE`, or `REFUSED`.

    Args:
        last: nothing follows the data; otherwise a value at its end may go on.

    The end stands in the words of an error (msgspec `_core.c`, `json_err_invalid`). If other versions have other
    words, everything is refused: all is slow, and as right as before.
    """
    try:
        decode(data)
    except msgspec.DecodeError as error:
        words = str(error)
        if _TRAILING in words:
            return int(words[words.rindex(" ") + 1 : -1]) - 1
        return MORE if "truncated" in words else REFUSED
    except RecursionError:
        return REFUSED
    return len(data) if last else MORE


def fault_of(data: bytes) -> str | None:
    """Return why a value cannot be read, or None: as JSON, UTF-8, its numbers and its depth."""
    try:
        decode(data)
    except msgspec.DecodeError as error:
        return _refused(data, str(error))
    except RecursionError:
        return f"nested deeper than {NESTING} levels"
    return odd(data)


def odd(data: bytes) -> str | None:
    """Return why what the fast parser has passed cannot be read all the same, or None."""
    return _encoding(data) or _numbers(data) or _depth(data)


def alike(data: bytes) -> bytes:
    """Return data with its digits alike and its brackets: for `may_be_huge` and `may_be_deep`."""
    return data.translate(_ALIKE)


def encoded(data: bytes) -> bool:
    """Tell whether data is UTF-8."""
    return _encoding(data) is None


def may_be_huge(same: bytes) -> bool:
    """Tell whether there may be a number beyond all bounds; ids in hexadecimal hardly look so."""
    return _exponent(same) or _LONG in same


def may_be_deep(same: bytes, begin: int, end: int) -> bool:
    """Tell whether a value may be nested too deep: it has enough brackets."""
    return same.count(b"[", begin, end) > _LEVELS


def _encoding(data: bytes) -> str | None:
    if data.isascii():
        return None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte {error.start + 1} of it is 0x{data[error.start]:02x})"
    return None


def _numbers(data: bytes) -> str | None:
    if not may_be_huge(alike(data)):
        return None
    try:
        json.loads(data, parse_float=_finite, parse_int=str, parse_constant=str)
    except _Huge as why:
        return str(why)
    except (ValueError, RecursionError):
        return None
    return None


def _exponent(same: bytes) -> bool:
    """Tell whether there may be a number with an exponent of three digits."""
    at = same.find(_HUGE)
    while at >= 0:
        before = same[max(0, at - _BEFORE) : at].rstrip(b"0.").removesuffix(b"-")
        if before[-1:] in _IN_FRONT:
            return True
        at = same.find(_HUGE, at + 1)
    return False


class _Huge(Exception):
    pass


def _finite(text: str) -> str:
    if not math.isfinite(float(text)):
        raise _Huge(f"{text[:40]} is too large a number")
    return text


def _depth(data: bytes) -> str | None:
    if len(data.translate(None, _NOT_OPENING)) <= _LEVELS:
        return None
    # Escapes go first, then every quote is a border of a text. Two of them side by side have no bracket between them,
    # inside or outside, and what is inside stays so without them.
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data
    marks = plain.translate(_BRACKETS, _OTHERS).replace(b'""', b"")
    left = b"".join(marks.split(b'"')[::2])
    for _ in range(_LEVELS):
        if not left:
            return None
        left = left.replace(b"[]", b"")
    return f"nested deeper than {NESTING} levels" if left else None


def _refused(data: bytes, words: str) -> str:
    """Say what the fast parser has refused; its own words mislead for half of a surrogate pair."""
    encoding = _encoding(data)
    if encoding:
        return encoding
    try:
        # Not the bytes themselves: with a zero among the first four, json takes them for UTF-16 or UTF-32.
        value = json.loads(data.decode("utf-8-sig"), parse_constant=_constant)
    except _Constant as why:
        return f"{why} is not JSON"
    except RecursionError:
        return f"nested deeper than {NESTING} levels"
    except json.JSONDecodeError as error:
        return f"not JSON ({error.msg}, at character {error.pos + 1} of it)"
    return "half of a surrogate pair in a text" if _halved(value) else f"not JSON ({words})"


class _Constant(Exception):
    pass


def _constant(name: str) -> Any:
    raise _Constant(name)


def _halved(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
