"""The fields of a recorded run, each from its bytes: what it may be, and in which words it is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec
from msgspec import Raw

from evalrunner.transfer.files.times import read_moment

_KINDS = {ord("{"): "an object", ord("["): "a list", ord('"'): "a text", ord("t"): "true", ord("f"): "false",
          ord("n"): "null"}  # fmt: skip
_WANTED = {"object": ord("{"), "list": ord("["), "text": ord('"')}
_ARTICLE = {"object": "an object", "list": "a list", "text": "a text"}
_texts = msgspec.json.Decoder(list[str]).decode
_values = msgspec.json.Decoder(list[Raw]).decode
_object = msgspec.json.Decoder(dict[str, Raw]).decode
_string = msgspec.json.Decoder(str).decode

Kind = Literal["object", "list", "text"]


ABSENT = Raw(b"")


class FieldError(Exception):
    """A field is not what it must be; says which and what it is."""


def kind_of(raw: bytes | Raw) -> str:
    """Return what a JSON value is, with its article."""
    return _KINDS.get(bytes(memoryview(raw)[:1])[0], "a number")


def given(raw: Raw) -> bytes | None:
    """Return a field's bytes, or None if it is absent or null."""
    if raw is ABSENT:
        return None
    data = bytes(raw)
    return None if data == b"null" else data


def payload(name: str, raw: Raw, wanted: Kind) -> bytes | None:
    """Return the bytes of a field that must be of one kind, or None.

    Raises:
        FieldError: it is of another.
    """
    data = given(raw)
    if data is not None and data[0] != _WANTED[wanted]:
        raise FieldError(f"its {name} is {kind_of(data)}, not {_ARTICLE[wanted]}")
    return data


def text(name: str, raw: Raw) -> str | None:
    """Return a field that is a text, or a number as it is written; None if it is absent, null or empty.

    Raises:
        FieldError: it is something else.
    """
    data = given(raw)
    if data is None:
        return None
    if data[0] == _WANTED["text"]:
        return _string(data) or None
    if data[0] in b"-0123456789":
        return data.decode()
    raise FieldError(f"its {name} is {kind_of(data)}, not a text")


def moment(name: str, raw: Raw) -> int | None:
    """Return a time in microseconds, or None if it is absent or null.

    Raises:
        FieldError: it is no time.
    """
    data = given(raw)
    if data is None:
        return None
    try:
        if data[0] == _WANTED["text"]:
            return read_moment(_string(data))
        if data[0] in b"-0123456789":
            return read_moment(Decimal(data.decode()))
    except ValueError as error:
        raise FieldError(f"its {name} cannot be read: {error}") from None
    raise FieldError(f"its {name} is {kind_of(data)}, not a time")


def tags(raw: Raw) -> bytes | None:
    """Return a list of texts.

    Raises:
        FieldError: it is none.
    """
    data = payload("tags", raw, "list")
    if data is not None:
        try:
            _texts(data)
        except msgspec.ValidationError:
            raise FieldError("its tags are not texts, all of them") from None
    return data


def objects(name: str, raw: Raw) -> bytes | None:
    """Return a list of objects.

    Raises:
        FieldError: it is none.
    """
    data = payload(name, raw, "list")
    if data is not None and len(data) > 2:
        for number, each in enumerate(_values(data), start=1):
            if (found := kind_of(each)) != _ARTICLE["object"]:
                raise FieldError(f"number {number} of its {name} is {found}, not an object")
    return data


def entries(data: bytes) -> dict[str, bytes]:
    """Return an object's values by name, as bytes."""
    return {name: bytes(value) for name, value in _object(data).items()}
