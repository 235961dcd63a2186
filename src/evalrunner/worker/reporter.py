"""What a worker tells the supervisor, gathered for a moment so that fast items share a message.

Its own thread: an async target that blocks the event loop must not silence the books. The same thread says the
last word, so that no report can come after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from evalrunner.delivery.pipeline import loose_record, produced_item
from evalrunner.delivery.spool.openings import Openings, Verdicts, is_loose
from evalrunner.delivery.spool.writer import Entry
from evalrunner.protocol.loose import About, LooseRecord, LooseState
from evalrunner.protocol.messages import Ack, Message, ProducedItem, Report
from evalrunner.worker.leaving import leave

#: Seconds that a report waits for company, unless a lane waits for work: a report costs the supervisor a
#: commit, and it is the report that brings the next lease.
GATHER = 0.1


class Reporter:
    """Collects events from every thread and sends them as `Report`s, in order.

    Args:
        send: puts a message on the pipe to the supervisor.
        starving: whether a lane has nothing to do.
    """

    def __init__(self, send: Callable[[Message], None], starving: Callable[[], bool]) -> None:
        self._send = send
        self._starving = starving
        self._wake = threading.Condition()
        self._produced: list[ProducedItem] = []
        self._accepted: list[tuple[int, int]] = []
        self._refused: list[tuple[int, int, str]] = []
        self._loose: list[LooseRecord] = []
        self._openings = Openings()
        self._withheld: list[tuple[int, int, str]] = []
        self._note: str | None = None
        self._last_note = ""
        self._produced_ever = self._accepted_ever = self._refused_ever = self._loose_ever = 0  # as reported
        self._unspooled = 0
        self._last_word: Ack | None = None
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def durable(self, entries: list[Entry]) -> None:
        """Note that these records are durable (this and the next three: `SpoolListener`)."""
        items = [made for made in (produced_item(entry) for entry in entries) if made is not None]
        with self._wake:
            self._openings.promised(entries)
            self._produced.extend(items)
            self._take_loose(entries, LooseState.PROMISED)
            self._wake.notify()

    def accepted(self, entries: list[Entry]) -> None:
        """Note that the server answered 2xx for all of these records."""
        with self._wake:
            self._judge(self._openings.accepted(entries))
            self._take_loose(entries, LooseState.ACCEPTED)
            self._wake.notify()

    def refused(self, entry: Entry, reason: str) -> None:
        """Note that a record will not be sent again by this worker."""
        with self._wake:
            self._judge(self._openings.refused(entry, reason))
            self._take_loose([entry], LooseState.REFUSED, reason)
            self._wake.notify()

    def failed(self, error: Exception) -> None:
        """End the process: fdatasync is never retried (fsyncgate).

        What was not synced is executed again by another worker.
        """
        leave(self._send, f"its spool cannot be written: {error}")

    def unspooled(self, kind: str, op_id: str, name: str, reason: str) -> None:
        """Note that something which had to be sent without a spool was not taken."""
        with self._wake:
            self._unspooled += 1
            about = [About(kind, op_id, name)]
            self._loose.append(LooseRecord(-self._unspooled, LooseState.REFUSED, reason, about))
            self._wake.notify()

    def withheld(self, item: int, token: int, kind: str) -> None:
        """Note that an item has failed, and that its failure is held back."""
        with self._wake:
            self._withheld.append((item, token, kind))
            self._wake.notify()

    def note(self, text: str) -> None:
        """Note what holds things up, for people; "" when nothing does any more."""
        with self._wake:
            self._note = text
            self._wake.notify()

    def close(self, outside: int, undelivered: int, trouble: str) -> None:
        """Send what is left and then, by the same thread, the `Ack`; return when it is on the pipe.

        Without a limit: a supervisor that does not read for a while must not miss anything, and one that reads
        no more kills us.
        """
        with self._wake:
            self._last_word = Ack(outside, undelivered, trouble)
            self._wake.notify()
        self._thread.join()

    def _judge(self, verdicts: Verdicts) -> None:
        self._accepted.extend(verdicts.accepted)
        self._refused.extend(verdicts.refused)

    def _take_loose(self, entries: list[Entry], state: LooseState, reason: str = "") -> None:
        self._loose.extend(loose_record(one, state, reason) for one in entries if is_loose(one.header))

    def _anything(self) -> bool:
        facts = self._produced or self._accepted or self._refused or self._loose or self._withheld
        return bool(facts) or self._note is not None

    @property
    def _closing(self) -> bool:
        return self._last_word is not None

    def _run(self) -> None:
        try:
            while self._report():
                pass
        except BaseException as error:  # out of memory, say: its spool says what it has done
            leave(self._send, f"it cannot report any more ({type(error).__name__}: {error})")

    def _report(self) -> bool:
        """Wait for something to say, and say it; return whether there will be more."""
        with self._wake:
            while not self._anything() and not self._closing:
                self._wake.wait()
            if not self._closing and not self._starving():
                self._wake.wait_for(lambda: self._closing or self._starving(), timeout=GATHER)
            report, last = self._take(), self._last_word
        if report is not None:
            self._send(report)
            self._produced_ever += len(report.produced)
            self._accepted_ever += len(report.accepted)
            self._refused_ever += len(report.refused)
            self._loose_ever += len(report.loose)
        if last is not None:
            self._send(
                replace(
                    last,
                    produced=self._produced_ever,
                    accepted=self._accepted_ever,
                    refused=self._refused_ever,
                    loose=self._loose_ever,
                )
            )
        return last is None

    def _take(self) -> Report | None:
        if not self._anything():
            return None
        if self._note is not None:
            self._last_note = self._note
        report = Report(
            self._produced, self._accepted, self._refused, self._last_note, self._loose, self._withheld
        )
        self._produced, self._accepted, self._refused, self._loose, self._withheld = [], [], [], [], []
        self._note = None
        return report
