"""The hash of an input, made on a thread of its own: hashing needs no interpreter, and reading needs all of it."""

from __future__ import annotations

import hashlib
import queue
import threading
from types import TracebackType

#: Pieces that wait, of a megabyte each; then reading waits.
_WAITING = 4


class Hashing:
    """A SHA-256 that is told of pieces and does them meanwhile. A context manager: it ends the thread."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="evalrunner-hashing", daemon=True)
        self._thread.start()

    def __enter__(self) -> Hashing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def update(self, data: bytes) -> None:
        """Take a piece."""
        self._pieces.put(data)

    def hexdigest(self) -> str:
        """Return the hash of all pieces, when they are done; no other may follow."""
        self.close()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Wait for what was taken, and end."""
        if self._thread.is_alive():
            self._pieces.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._hash.update(piece)
