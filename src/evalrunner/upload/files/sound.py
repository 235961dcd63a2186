"""What a JSON value may not have, and the fast parser does not look at, or says in words of its own."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

from evalrunner.protocol.values import NESTING

decode = msgspec.json.Decoder(msgspec.Raw).decode

#: All digits alike, so that an exponent of three digits is one of six sequences.
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_HUGE = (b"0e000", b"0e+000", b".e000", b".e+000")
_LONG = b"0" * 309  # no number below 10^308 has as many digits before its point
_NUMBER = re.compile(rb"(?<![\w.+-])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])")
_NOT_JSON = re.compile(rb"[:,\[\s](-?(?:NaN|Infinity|nan|inf))[,\]}\s]")


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


def _encoding(data: bytes) -> str | None:
    if data.isascii():
        return None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 (byte {error.start + 1} of it is 0x{data[error.start]:02x})"
    return None


def _numbers(data: bytes) -> str | None:
    alike = data.translate(_DIGITS)
    if _LONG not in alike and not any(huge in alike for huge in _HUGE):
        return None
    try:
        json.loads(data, parse_float=_finite, parse_int=str, parse_constant=str)
    except _Huge as why:
        return str(why)
    except (ValueError, RecursionError):
        return None
    return None


class _Huge(Exception):
    pass


def _finite(text: str) -> str:
    if not math.isfinite(float(text)):
        raise _Huge(f"{text[:40]} is too large a number")
    return text


def _depth(data: bytes) -> str | None:
    if data.count(b"{") + data.count(b"[") <= NESTING:
        return None
    # Escapes go first, then what is between quotes is text, and the rest has no brackets but those of the value.
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data
    left = b"".join(plain.split(b'"')[::2]).translate(_BRACKETS, _OTHERS)
    depth = 0
    while left and depth <= NESTING:
        left, depth = left.replace(b"[]", b""), depth + 1
    return f"nested deeper than {NESTING} levels" if left else None


_BRACKETS = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _refused(data: bytes, words: str) -> str:
    """Say what the fast parser has refused; its own words mislead for half of a surrogate pair."""
    encoding = _encoding(data)
    if encoding:
        return encoding
    try:
        value = json.loads(data, parse_constant=_constant)
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
