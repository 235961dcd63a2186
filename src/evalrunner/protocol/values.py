"""Which JSON values every part of the house can take, and a service of LangSmith with it.

One rule for the rows of a dataset file, for examples that are read, and for what a target hands over: what one place
takes, the next can pass on.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

#: Objects and lists inside each other that a value may have. orjson writes 254, and what carries a value (a lease,
#: a page of runs, a batch) needs some of them itself.
NESTING = 240
_SPARE = 254 - NESTING
#: Bytes of JSON that a run may have, as the hosted service and the SDK have it (client.py, `_SIZE_LIMIT_BYTES`).
MOST_BYTES = 20_971_520
#: As many digits as a number beyond 64 bits has at least, and what makes all digits the same.
_LONG, _DIGITS = b"0" * 19, bytes.maketrans(b"123456789", b"000000000")


class UnfitError(ValueError):
    """A value that no service takes; the message says where it is and what is wrong with it."""


def check_json(data: bytes, around: int = 0) -> None:
    """Refuse JSON that could be written and cannot be taken; quick where nothing is odd.

    Args:
        data: the JSON.
        around: levels of it that stand around the values in question.

    A whole number beyond 64 bits is such a value: the hosted service answers 422, and orjson reads a float.

    Raises:
        UnfitError: it holds such a number, or has more than `NESTING` levels.
    """
    if len(data) > NESTING and data.count(b"{") + data.count(b"[") > NESTING:
        _check_nesting(data, around)
    if len(data) >= len(_LONG) and _LONG in data.translate(_DIGITS):
        number = _find(_parsed(data), "")
        if number:
            raise UnfitError(number)


def _check_nesting(data: bytes, around: int) -> None:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:  # it is nested deeper than orjson reads, or holds half of a surrogate pair
        value = _parsed(data)
    for _ in range(_SPARE - around):
        value = [value]
    try:
        orjson.dumps(value, default=lambda _: None)
    except TypeError as error:
        if "ecursion" in str(error):
            raise UnfitError(f"nested deeper than {NESTING} levels") from None


class _Beyond:
    """A whole number that does not fit into 64 bits."""

    def __init__(self, digits: str) -> None:
        self.digits = digits


def _whole(text: str) -> Any:
    # int() of a long text takes time that grows with its square, and is refused beyond 4,300 digits.
    if len(text) <= 20 and -(2**63) <= int(text) < 2**64:
        return int(text)
    return _Beyond(text)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data, parse_int=_whole, parse_constant=lambda _: None)
    except RecursionError:
        raise UnfitError(f"nested deeper than {NESTING} levels") from None


def _find(value: Any, path: str) -> str | None:
    if isinstance(value, _Beyond):
        shown = (
            value.digits
            if len(value.digits) <= 30
            else f"{value.digits[:12]}... ({len(value.digits)} digits)"
        )
        return f"{path.lstrip('.') or 'it'} is {shown}, and whole numbers have 64 bits"
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        found = _find(each, f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}")
        if found:
            return found
    return None
