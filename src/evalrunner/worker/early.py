"""What is traced before the experiment is known: at import, in a constructor or a set-up.

It belongs to no item. The SDK would send it by a client of its own, past the books; so there is one of ours from the
first line on, whose traces wait for the spool. If the worker dies before it has one, they are gone with its set-up,
which another worker repeats.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import langsmith

from evalrunner.config import Endpoint
from evalrunner.delivery.capture.sdk import RecordingClient
from evalrunner.delivery.capture.traces import TraceBook
from evalrunner.delivery.spool.record import Operation

Emit = Callable[[list[Operation]], None]


class Early:
    """The SDK's client of this process until there is an experiment; whoever keeps it may go on using it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._lock = threading.Lock()
        self._waiting: list[list[Operation]] = []
        self._emit: Emit | None = None
        self._book = TraceBook(self._take)
        client = RecordingClient(
            self._book,
            api_url=endpoint.url,
            api_key=endpoint.key,
            workspace_id=endpoint.workspace,
            tracing_mode="langsmith",
            tracing_sampling_rate=1.0,
        )
        langsmith.configure(client=client)

    def open(self, emit: Emit) -> None:
        """Let go on what has waited, and all that comes."""
        with self._lock:
            self._emit, waiting = emit, self._waiting
            self._waiting = []
        for operations in waiting:
            emit(operations)

    def flush(self) -> list[str]:
        """Emit what has not ended, as it stands; return the names of these runs."""
        return self._book.flush_loose()

    def _take(self, operations: list[Operation]) -> None:
        with self._lock:
            emit = self._emit
            if emit is None:
                self._waiting.append(operations)
        if emit is not None:
            emit(operations)
