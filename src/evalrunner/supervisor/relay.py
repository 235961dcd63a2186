"""Sending on what the dead left in their spools, with the sender that workers use."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evalrunner.delivery.record import Header
from evalrunner.delivery.sender import Sender
from evalrunner.delivery.spool import Entry, read, read_body
from evalrunner.delivery.transport import HttpTransport
from evalrunner.supervisor.events import Event, SentOn


@dataclass
class _Errand:
    """One spool on its way."""

    sender: Sender
    fd: int


class Relay:
    """Sends spools; each has a sender of its own, because each has a boundary of its own.

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
        self._errands: list[_Errand] = []
        #: Some record was refused: its spool must be kept.
        self._refused_any = False
        self._lock = threading.Lock()

    def take(self, path: Path, wanted: Callable[[Header], bool]) -> int:
        """Send every wanted record of a spool; return how many there are."""
        spool = read(path)
        entries = [entry for entry in spool.entries if wanted(entry.header)]
        if not entries:
            return 0
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        sender = Sender(
            self._new_transport(),
            lambda entry: read_body(fd, entry),
            spool.boundary,
            on_accepted=self._accepted,
            on_refused=self._refused,
            on_note=self._note,
            compress=self._compress,
            deadline=self._deadline,
        )
        with self._lock:
            self._errands.append(_Errand(sender, fd))
        sender.offer(entries)
        sender.flush()
        return len(entries)

    @property
    def busy(self) -> bool:
        """Whether something is still on its way."""
        return any(errand.sender.pending for errand in self._errands)

    @property
    def must_keep(self) -> bool:
        """Whether a spool holds something that has not been accepted."""
        return self._refused_any or self.busy

    def stop(self) -> None:
        """Stop; what is unsent stays in its spool."""
        for errand in self._errands:
            errand.sender.stop()
            os.close(errand.fd)
        self._errands.clear()

    def _accepted(self, entries: list[Entry]) -> None:
        self._post(SentOn(accepted=tuple(names(entries))))

    def _refused(self, entry: Entry, reason: str) -> None:
        self._refused_any = True
        self._post(SentOn(refused=tuple((item, token, reason) for item, token in names([entry]))))


def names(entries: list[Entry]) -> list[tuple[int, int]]:
    """Return (item, token) of every record that is an item's."""
    return [
        (entry.header.item, entry.header.token)
        for entry in entries
        if entry.header.item is not None and entry.header.token is not None
    ]
