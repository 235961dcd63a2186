"""Taking up what an earlier run of the command has left: its processes, its spools, its leases."""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path

from evalrunner.clock import Clock
from evalrunner.delivery.outlet import produced_item
from evalrunner.delivery.record import Header
from evalrunner.delivery.spool import read
from evalrunner.errors import SpoolError
from evalrunner.ledger.ledger import ItemRow, Ledger
from evalrunner.protocol.lease import HELD, IN_SPOOL, ItemState
from evalrunner.supervisor.confirm import Confirmer, Wanted
from evalrunner.supervisor.crew import kill_leftovers
from evalrunner.supervisor.events import Event, Seen, SentOn
from evalrunner.supervisor.observe import Observer
from evalrunner.supervisor.relay import Relay

S = ItemState


class Recovery:
    """Brings an interrupted run to rest: afterwards no item is held, and what was finished is on its way.

    Args:
        events: what relay and confirmer report.
        stop_asked: whether the user wants an end.
    """

    def __init__(
        self,
        ledger: Ledger,
        spools: Path,
        *,
        relay: Relay,
        confirmer: Confirmer,
        events: queue.SimpleQueue[Event],
        observer: Observer,
        clock: Clock,
        visible_deadline: float,
        stop_asked: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._spools = spools
        self._relay = relay
        self._confirmer = confirmer
        self._events = events
        self._observer = observer
        self._clock = clock
        self._visible_deadline = visible_deadline
        self._stop_asked = stop_asked

    def run(self) -> int:
        """Recover; return how many finished items were taken over from spools."""
        killed = kill_leftovers(self._ledger.workers())
        if killed:
            self._observer.line(f"killed {killed} worker(s) that an earlier run had left behind")
        taken = self._adopt()
        self._send()
        self._confirm()
        return taken

    def _adopt(self) -> int:
        """Believe the spools: what they hold is produced; what was leased and is not there is given back."""
        rows = {row.item: row for row in self._ledger.items()}
        taken = 0
        with self._ledger.transaction():
            for worker in self._ledger.workers():
                if worker.ended is None:
                    self._ledger.worker_ended(worker.worker, "ended with its supervisor")
            for path in self._files():
                taken += self._adopt_file(path, rows)
            for row in self._ledger.items():
                if row.state in HELD or row.state is S.RETRYABLE:
                    self._ledger.move(row.item, S.AVAILABLE)
                    self._tell(row, "its supervisor died; given back")
        return taken

    def _adopt_file(self, path: Path, rows: dict[int, ItemRow]) -> int:
        taken = 0
        for made in (produced_item(entry.header) for entry in _entries(path)):
            row = rows.get(made.item) if made is not None else None
            if made is None or row is None or row.token != made.token:
                continue
            if row.state in HELD or row.state is S.FAILED:
                self._ledger.produced(made, row.worker or 0)
                self._tell(row, "produced: found in the spool of a dead worker")
                taken += 1
        return taken

    def _tell(self, row: ItemRow, what: str) -> None:
        self._ledger.tell([(self._clock.utcnow().timestamp(), row.item, row.worker, row.token, what)])

    def _files(self) -> list[Path]:
        return sorted(self._spools.glob("*.spool"))

    def _send(self) -> None:
        wanted = {row.item: row.token for row in self._ledger.items() if row.state in IN_SPOOL}

        def is_wanted(header: Header) -> bool:
            return header.item is None or wanted.get(header.item) == header.token

        sending = sum(self._relay.take(path, is_wanted) for path in self._files() if _entries(path))
        if not sending:
            return
        self._observer.line(f"sending on {sending} finished trace(s) of an earlier run")
        while (self._relay.busy or not self._events.empty()) and not self._stop_asked():
            self._take_event()

    def _take_event(self) -> None:
        try:
            event = self._events.get(timeout=0.1)
        except queue.Empty:
            return
        with self._ledger.transaction():
            if isinstance(event, SentOn):
                for item, _ in event.accepted:
                    self._ledger.move(item, S.ACCEPTED, reason=None)
                for item, _, reason in event.refused:
                    self._ledger.move(item, S.NOT_DELIVERED, reason=reason)
            elif isinstance(event, Seen):
                for item in event.items:
                    self._ledger.move(item, S.VISIBLE, reason=None)

    def _confirm(self) -> None:
        """Wait for what is accepted: to plan before it is readable would be to execute it twice."""
        waiting = {
            row.item: Wanted(tuple(row.runs), tuple(row.feedback))
            for row in self._ledger.items()
            if row.state in (S.ACCEPTED, S.NOT_VISIBLE) and row.runs
        }
        if not waiting:
            return
        self._confirmer.want(waiting)
        self._confirmer.hurry()
        left, since = len(waiting), self._clock.monotonic()
        while self._confirmer.waiting or not self._events.empty():
            self._take_event()
            now = self._clock.monotonic()
            if self._confirmer.waiting != left:
                left, since = self._confirmer.waiting, now
            if now - since > self._visible_deadline or self._stop_asked():
                break
        for item in self._confirmer.missed().items:
            self._confirmer.forget(item)
            with self._ledger.transaction():
                self._ledger.move(item, S.NOT_VISIBLE, reason="accepted by an earlier run, never readable")


def _entries(path: Path) -> list:  # type: ignore[type-arg]
    try:
        return read(path).entries
    except (SpoolError, OSError):
        return []
