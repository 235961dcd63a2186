"""Cutting what comes through a worker's pipe into messages, without believing it: pure, no I/O.

The format is `multiprocess`'s own (connection.py, `Connection._send_bytes`): four bytes of length, signed, network
order, then the message. The other end runs somebody else's code, which may write into every descriptor it finds.
"""

from __future__ import annotations

import struct

_LENGTH = struct.Struct("!i")
#: Bytes of the longest message that is believed: a report of thousands of large traces has a few megabytes.
LONGEST = 64 * 2**20


class Frames:
    """Bytes in, whole messages out."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._held = bytearray()

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """Take in what came; return the messages that are whole now.

        Raises:
            ValueError: a length that no message has; nothing that comes after can be understood.
        """
        self._held += data
        messages = []
        while (end := self._end()) is not None:
            messages.append(bytes(self._held[_LENGTH.size : end]))
            del self._held[:end]
        return messages

    def _end(self) -> int | None:
        if len(self._held) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._held)
        if not 0 <= length <= self._longest:
            raise ValueError(f"it announces a message of {length} bytes")
        end = _LENGTH.size + length
        return end if len(self._held) >= end else None


def framed(message: bytes) -> bytes:
    """Return a message as it goes through the pipe."""
    return _LENGTH.pack(len(message)) + message
