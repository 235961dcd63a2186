"""One value of a file, with the place where it stands."""

from __future__ import annotations

import msgspec

from evalrunner.transfer.files.plain import Told


class Element(msgspec.Struct, frozen=True, gc=False):
    """One value of a file.

    Attributes:
        file: the number of the file, as in `Inputs.names`.
        line: the line of its first byte, from 1, if the file has lines (JSONL).
        ordinal: its number in its file, from 1.
        offset, length: its bytes in the readable file (the copy, if one was made).
        data: exactly those bytes.
        fault: why it is no JSON value that can be read; None if it is sound.
        told: what it tells as a run, where that was wanted and it is nothing special; then `data` is empty.
    """

    file: int
    line: int | None
    ordinal: int
    offset: int
    length: int
    data: bytes
    fault: str | None
    told: Told | None = None
