"""A value of a file, as it was found."""

from __future__ import annotations

import msgspec

from evalrunner.transfer.files.plain import Told


class Piece(msgspec.Struct, frozen=True, gc=False):
    """A value: where it begins, its bytes, its line if the file has lines, and what is wrong with it.

    Attributes:
        told: what it tells as a run; then its bytes are not here, and `size` says how many they are.
    """

    offset: int
    data: bytes
    line: int | None
    fault: str | None
    told: Told | None = None
    size: int = 0


def has_lines(head: bytes) -> bool:
    """Tell whether values have lines of their own: by the end of the first one, or the beginning of the second."""
    head = head.lstrip(b" \t\r\n")
    if head.startswith(b"["):
        return False
    line, _, rest = head.partition(b"\n")
    rest = rest.lstrip(b"\r\n")
    return not rest.strip() or line.rstrip().endswith(b"}") or rest[:1] in b"{["
