"""Sending on what the dead left in their spools, with the sender that workers use: one for all of them.

A death must cost this process no thread, no connection and no open file for good: a long run on a bad machine has
hundreds. The records of all spools therefore travel under one boundary, and one file at a time is open.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from evalrunner.delivery.pipeline import loose_record
from evalrunner.delivery.sending.sender import Sender
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.delivery.spool.openings import Openings, Verdicts, is_loose
from evalrunner.delivery.spool.record import rebound
from evalrunner.delivery.spool.writer import Entry, LastFile, read, stem_of
from evalrunner.protocol.loose import LooseState
from evalrunner.supervisor.core.events import Event, LooseNews, SentOn

#: Seconds for which a request under way is waited for at the end: everybody waits for the command then.
PATIENCE = 3.0


@dataclass(frozen=True)
class _Place:
    """Where a record lies: the sender knows it by another number."""

    path: Path
    boundary: str
    entry: Entry


class Relay:
    """Sends spools.

    Args:
        post: takes the `SentOn` events, from any thread.
        note: takes what holds things up, for people.
    """

    def __init__(
        self,
        new_transport: Callable[[], HttpTransport],
        *,
        compress: bool,
        deadline: float,
        post: Callable[[Event], None],
        note: Callable[[str], None],
    ) -> None:
        self._new_transport = new_transport
        self._compress = compress
        self._deadline = deadline
        self._post = post
        self._note = note
        self._boundary = f"evalrunner-{secrets.token_hex(16)}"
        self._numbers = itertools.count(1)
        self._places: dict[int, _Place] = {}
        self._openings = Openings()
        self._lock = threading.Lock()
        self._open = LastFile()
        self._sender: Sender | None = None

    def take(self, path: Path, wanted: Callable[[Entry], bool]) -> int:
        """Send every wanted record of a spool; return how many there are.

        Raises:
            SpoolError: it cannot be read.
        """
        spool = read(path)
        self._tell(path, spool.entries, LooseState.PROMISED)
        entries = [
            self._place(_Place(path, spool.boundary, entry)) for entry in spool.entries if wanted(entry)
        ]
        if entries:
            with self._lock:
                self._openings.promised(entries)
            sender = self._start()
            sender.offer(entries)
            sender.flush()
        return len(entries)

    @property
    def busy(self) -> bool:
        """Whether something is still on its way."""
        return self._sender is not None and self._sender.pending > 0

    def stop(self) -> None:
        """Stop; what is unsent stays in its spool, and what a silent service has in its hands is sent again."""
        if self._sender is not None:
            self._sender.stop(PATIENCE)
        self._open.close()

    def _start(self) -> Sender:
        if self._sender is None:
            self._sender = Sender(
                self._new_transport(),
                self._body,
                self._boundary,
                on_accepted=self._accepted,
                on_refused=self._refused,
                on_note=self._note,
                compress=self._compress,
                deadline=self._deadline,
            )
        return self._sender

    def _place(self, place: _Place) -> Entry:
        entry = replace(place.entry, seq=next(self._numbers))
        with self._lock:
            self._places[entry.seq] = place
        return entry

    def _body(self, entry: Entry) -> bytes:
        with self._lock:
            place = self._places[entry.seq]
        return rebound(self._open.body(place.path, place.entry), place.boundary, self._boundary)

    def _done(self, entries: list[Entry], state: LooseState, reason: str = "") -> None:
        with self._lock:
            places = [self._places.pop(entry.seq) for entry in entries if entry.seq in self._places]
            if not self._places:
                self._open.close()
        for place in places:
            self._tell(place.path, [place.entry], state, reason)

    def _tell(self, path: Path, entries: list[Entry], state: LooseState, reason: str = "") -> None:
        news = tuple(loose_record(one, state, reason) for one in entries if is_loose(one.header))
        if news:
            self._post(LooseNews(stem_of(path), news))

    def _accepted(self, entries: list[Entry]) -> None:
        with self._lock:
            verdicts = self._openings.accepted(entries)
        self._done(entries, LooseState.ACCEPTED)
        self._judge(verdicts)

    def _refused(self, entry: Entry, reason: str) -> None:
        with self._lock:
            verdicts = self._openings.refused(entry, reason)
        self._done([entry], LooseState.REFUSED, reason)
        self._judge(verdicts)

    def _judge(self, verdicts: Verdicts) -> None:
        if verdicts.accepted or verdicts.refused:
            self._post(SentOn(tuple(verdicts.accepted), tuple(verdicts.refused)))
