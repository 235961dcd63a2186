"""What a worker tells the supervisor, gathered for a moment so that fast items share a message.

Its own thread: an async target that blocks the event loop must not silence the books. The same thread says the
last word, so that no report can come after it. What is said when is `reports.Reports`'s to know.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from evalrunner.clock import SYSTEM
from evalrunner.delivery.spool.writer import Entry
from evalrunner.protocol.reports import Ack
from evalrunner.worker.leaving import Send, leave
from evalrunner.worker.reports import Reports


class Reporter:
    """Collects events from every thread and sends them as `Report`s, in order; a `SpoolListener`.

    Args:
        send: puts a message on the pipe to the supervisor.
        starving: whether a lane has nothing to do.
    """

    def __init__(self, send: Send, starving: Callable[[], bool]) -> None:
        self._send = send
        self._starving = starving
        self._reports = Reports()
        self._wake = threading.Condition()  # of the reports
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def durable(self, entries: list[Entry]) -> None:
        """Note that these records are durable."""
        with self._noting() as reports:
            reports.durable(entries)

    def accepted(self, entries: list[Entry]) -> None:
        """Note that the server answered 2xx for all of these records."""
        with self._noting() as reports:
            reports.accepted(entries)

    def refused(self, entry: Entry, reason: str) -> None:
        """Note that a record will not be sent again by this worker."""
        with self._noting() as reports:
            reports.refused(entry, reason)

    def failed(self, error: Exception) -> None:
        """End the process: fdatasync is never retried (fsyncgate).

        What was not synced is executed again by another worker.
        """
        leave(self._send, f"its spool cannot be written: {error}")

    def unspooled(self, kind: str, op_id: str, name: str, reason: str) -> None:
        """Note that something which had to be sent without a spool was not taken."""
        with self._noting() as reports:
            reports.unspooled(kind, op_id, name, reason)

    def withheld(self, item: int, token: int, kind: str) -> None:
        """Note that an item has failed, and that its failure is held back."""
        with self._noting() as reports:
            reports.withheld(item, token, kind)

    def note(self, text: str) -> None:
        """Note what holds things up, for people; "" when nothing does any more."""
        with self._noting() as reports:
            reports.note(text)

    def close(self, outside: int, undelivered: int, trouble: str) -> None:
        """Send what is left and then, by the same thread, the `Ack`; return when it is on the pipe.

        Without a limit: a supervisor that does not read for a while must not miss anything, and one that reads
        no more kills us.
        """
        with self._noting() as reports:
            reports.close(outside, undelivered, trouble)
        self._thread.join()

    @contextmanager
    def _noting(self) -> Iterator[Reports]:
        with self._wake:
            yield self._reports
            self._reports.noted(SYSTEM.monotonic())
            self._wake.notify()

    def _run(self) -> None:
        try:
            while self._report():
                pass
        except BaseException as error:  # out of memory, say: its spool says what it has done
            leave(self._send, f"it cannot report any more ({type(error).__name__}: {error})")

    def _report(self) -> bool:
        """Wait for something to say, and say it; return whether there will be more."""
        with self._wake:
            while (due := self._reports.due(starving=self._starving())) is None or due > SYSTEM.monotonic():
                self._wake.wait(None if due is None else max(0.0, due - SYSTEM.monotonic()))
            messages = self._reports.take()
        for message in messages:
            self._send(message)
        return not any(isinstance(message, Ack) for message in messages)
