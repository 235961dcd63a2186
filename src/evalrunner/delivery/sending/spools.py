"""One sender over the records of any number of spools: one thread, one connection, one open file.

A death must cost the supervisor none of these for good: a long run on a bad machine has hundreds. The records of all
spools travel under one boundary, and are numbered anew for the sender, because each spool counts from 1.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalrunner.delivery.listener import RecordListener
from evalrunner.delivery.sending.exchange import Transport
from evalrunner.delivery.sending.sender import Sender
from evalrunner.delivery.spool.record import rebound
from evalrunner.delivery.spool.writer import Entry, LastFile


@dataclass(frozen=True, eq=False)
class Spool:
    """A spool whose records are sent, and who hears what becomes of them.

    Attributes:
        path: of the spool, or of the only segment of it that is sent.
        boundary: which separates the parts in its bodies.
    """

    path: Path
    boundary: str
    listener: RecordListener


@dataclass(frozen=True)
class _Place:
    spool: Spool
    entry: Entry


class SpoolSender:
    """Sends records of spools; its thread and its connection begin with the first of them.

    Args:
        note: takes what holds things up, for people; called on the sender's thread.
        linger: seconds that the first record of a request waits for company.
        deadline: seconds without any success after which everything pending is refused (see `Sender`).
        boundary: under which everything travels; a spool's own saves the exchange in each of its bodies.
    """

    def __init__(
        self,
        new_transport: Callable[[], Transport],
        *,
        compress: bool,
        deadline: float,
        note: Callable[[str], None],
        linger: float = 0.05,
        boundary: str | None = None,
    ) -> None:
        self._new_transport, self._note = new_transport, note
        self._compress, self._deadline, self._linger = compress, deadline, linger
        self._boundary = boundary or f"evalrunner-{secrets.token_hex(16)}"
        self._numbers = itertools.count(1)
        self._places: dict[int, _Place] = {}
        self._lock = threading.Lock()
        self._open = LastFile()
        self._sender: Sender | None = None

    @property
    def pending(self) -> int:
        """Records offered and neither accepted nor refused."""
        return 0 if self._sender is None else self._sender.pending

    def offer(self, spool: Spool, entries: Sequence[Entry]) -> None:
        """Take durable records of a spool to send; none may be offered twice."""
        with self._lock:
            numbered = [
                Entry(next(self._numbers), one.offset, one.length, one.header, one.segment) for one in entries
            ]
            self._places.update(
                (one.seq, _Place(spool, entry)) for one, entry in zip(numbered, entries, strict=True)
            )
            sender = self._started()
        sender.offer(numbered)

    def flush(self) -> None:
        """Send what is there without waiting for company."""
        if self._sender is not None:
            self._sender.flush()

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until every offered record has been accepted or refused; return whether that is so."""
        return self._sender is None or self._sender.wait_idle(timeout)

    def stop(self, timeout: float | None = 30.0) -> bool:
        """Stop sending; what is unsent stays in its spool.

        Returns:
            False if a request is still under way after `timeout` seconds: its records may yet be accepted.
        """
        stopped = self._sender is None or self._sender.stop(timeout)
        self._open.close()  # a request that is still under way has its bytes
        return stopped

    def _started(self) -> Sender:
        if self._sender is None:
            self._sender = Sender(
                self._new_transport(),
                self._body,
                self._boundary,
                self,
                compress=self._compress,
                linger=self._linger,
                deadline=self._deadline,
            )
        return self._sender

    def _body(self, entry: Entry) -> bytes:
        with self._lock:
            place = self._places[entry.seq]
        body = self._open.body(place.spool.path, place.entry)
        if place.spool.boundary == self._boundary:
            return body
        return rebound(body, place.spool.boundary, self._boundary)

    def accepted(self, entries: list[Entry]) -> None:
        """Tell each spool's listener of its own; what one raises is nothing to the others."""
        errors: list[Exception] = []
        for spool, places in self._by_spool(entries):
            try:
                spool.listener.accepted([place.entry for place in places.values()])
                self._forget(places)
            except Exception as error:
                errors.append(error)
        if errors:  # the sender refuses whatever is not forgotten by now
            raise errors[0]

    def refused(self, entry: Entry, reason: str) -> None:
        """Tell the spool's listener, unless it has been told that the record was accepted."""
        for spool, places in self._by_spool([entry]):
            self._forget(places)
            for place in places.values():
                spool.listener.refused(place.entry, reason)

    def note(self, text: str) -> None:
        """Pass a note on."""
        self._note(text)

    def _by_spool(self, entries: Sequence[Entry]) -> list[tuple[Spool, dict[int, _Place]]]:
        found: dict[Spool, dict[int, _Place]] = {}
        with self._lock:
            for number in (entry.seq for entry in entries if entry.seq in self._places):
                place = self._places[number]
                found.setdefault(place.spool, {})[number] = place
        return list(found.items())

    def _forget(self, numbers: Iterable[int]) -> None:
        with self._lock:
            for number in numbers:
                del self._places[number]
            if not self._places:
                self._open.close()
