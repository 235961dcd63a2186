"""The books of what belongs to no item, for a whole run; and asking the service for it at the end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from langsmith import Client

from evalrunner.clock import Clock
from evalrunner.delivery.pipeline import loose_record
from evalrunner.delivery.spool.openings import is_loose
from evalrunner.delivery.spool.writer import Entry
from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.loose import LooseRecord, LooseState
from evalrunner.protocol.rows import LooseRow
from evalrunner.verify.elsewhere import Elsewhere

logger = logging.getLogger(__name__)

#: Seconds between two looks at what has not come back; seconds that a stopped run still asks.
PAUSE, STOP_GRACE = 0.5, 2.0
#: Records asked for at once.
PASS = 200


class LooseBook:
    """Takes news from the supervisor's loop, and writes them in the ledger."""

    def __init__(self, ledger: Ledger, session: int) -> None:
        self._ledger = ledger
        self._session = session
        self._news: list[tuple[str, list[LooseRecord]]] = []

    def note(self, spool: str, records: list[LooseRecord]) -> None:
        """Take news of a spool's records; they are written at the next `flush`."""
        if records:
            self._news.append((spool, records))

    def promise(self, spool: str, entries: list[Entry]) -> None:
        """Take in what lies in a dead worker's spool."""
        self.note(spool, [loose_record(one, LooseState.PROMISED) for one in entries if is_loose(one.header)])

    def flush(self) -> None:
        """Write the news; a death before this costs nothing: they are read from the spool again."""
        news, self._news = self._news, []
        if news:
            with self._ledger.transaction():
                for spool, records in news:
                    self._ledger.loose.note(spool, records, self._session)

    def arrived(self, spool: str) -> set[int]:
        """Return the records of a spool that need not be sent again."""
        self.flush()
        states = self._ledger.loose.states()
        done = (LooseState.ACCEPTED, LooseState.VISIBLE)
        return {seq for (stem, seq), state in states.items() if stem == spool and state in done}

    def confirm(
        self, client: Client, experiment: tuple[str, str], *, newer: bool, deadline: float,
        clock: Clock, stop_asked: Callable[[], int],
    ) -> None:  # fmt: skip
        """Ask for everything that was accepted until it has come back, or `deadline` seconds bring nothing new.

        Args:
            experiment: its (name, id).
        """
        self.flush()
        waiting = self._ledger.loose.rows(LooseState.ACCEPTED, LooseState.NOT_VISIBLE)
        elsewhere = Elsewhere(client, dict([experiment]), newer=newer)
        since = clock.monotonic()
        why = ""
        while waiting:
            try:
                left = self._look(elsewhere, waiting)
                why = ""
            except Exception as error:
                logger.info("read-back of loose traces failed: %s", error)
                left, why = waiting, f"it cannot be read back at the moment ({type(error).__name__})"
            if len(left) < len(waiting):
                since = clock.monotonic()
            waiting = left
            if clock.monotonic() - since > (STOP_GRACE if stop_asked() else deadline):
                break
            if waiting:
                threading.Event().wait(PAUSE)
        self._write(waiting, LooseState.NOT_VISIBLE, why or "accepted, but it does not come back")

    def _look(self, elsewhere: Elsewhere, waiting: list[LooseRow]) -> list[LooseRow]:
        left: list[LooseRow] = []
        for at in range(0, len(waiting), PASS):
            batch = waiting[at : at + PASS]
            missing = elsewhere.missing([about for row in batch for about in row.about])
            gone = [row for row in batch if any(about.id in missing for about in row.about)]
            here = [row for row in batch if not any(about.id in missing for about in row.about)]
            self._write(here, LooseState.VISIBLE, "")
            left += gone
        return left

    def _write(self, rows: list[LooseRow], state: LooseState, reason: str) -> None:
        for row in rows:
            self.note(row.spool, [LooseRecord(row.seq, state, reason)])
        self.flush()
