"""A file read once from front to back, a window of it in memory at a time."""

from __future__ import annotations

from collections.abc import Callable

#: Bytes that are read at once. More of them are held only while one value is longer.
SPAN = 1 << 20


class Window:
    """Some bytes of a file.

    Attributes:
        data: the bytes.
        at: where in the file they begin.
        ended: there are none behind them.
    """

    def __init__(
        self, read: Callable[[int, int], bytes], seen: Callable[[bytes], object], span: int = SPAN
    ) -> None:
        """Begin at the file's first byte.

        Args:
            read: returns bytes of the file, from an offset on, so many at most; none at its end.
            seen: is called with every byte of the file, in order, each once.
            span: how many bytes are read at once.
        """
        self.data = b""
        self.at = 0
        self.ended = False
        self._from, self._seen, self._span = read, seen, span

    def more(self, keep: int, least: int = 0) -> bool:
        """Let go of what is before `keep`, and read on; return False if there is nothing more.

        Args:
            keep: an index of `data`; it is 0 afterwards.
            least: how many bytes should be there afterwards, if the file has them.
        """
        kept = self.data[keep:]
        self.at += keep
        # As much again as is held: a value of any length is copied a few times, and not once a span.
        new = self._read(self.at + len(kept), max(self._span, len(kept), least - len(kept)))
        self.data = kept + new if kept else new
        return bool(new)

    def _read(self, offset: int, count: int) -> bytes:
        if self.ended:
            return b""
        pieces, got = [], 0
        while got < count:
            piece = self._from(offset + got, count - got)
            if not piece:
                self.ended = True
                break
            self._seen(piece)
            pieces.append(piece)
            got += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def drain(self) -> None:
        """Read to the end, and hold nothing."""
        while self.more(len(self.data)):
            pass
