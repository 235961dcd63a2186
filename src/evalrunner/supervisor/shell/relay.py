"""Sending on what the dead left in their spools, with the sender that workers use: one for all of them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path

from evalrunner.delivery.pipeline import loose_record
from evalrunner.delivery.sending.spools import Spool, SpoolSender
from evalrunner.delivery.spool.files import stem_of
from evalrunner.delivery.spool.openings import Openings, Verdicts, is_loose
from evalrunner.delivery.spool.writer import Entry, read
from evalrunner.protocol.loose import LooseState
from evalrunner.supervisor.core.events import Event, LooseNews, SentOn

#: Seconds for which a request under way is waited for at the end: everybody waits for the command then.
PATIENCE = 3.0


class Relay:
    """Sends spools.

    Args:
        sender: of the supervisor; stopped with the relay.
        post: takes the `SentOn` events, from any thread.
    """

    def __init__(self, sender: SpoolSender, post: Callable[[Event], None]) -> None:
        self._sender = sender
        self._post = post
        self._openings = (
            Openings()
        )  # of all spools: what opens an item may lie in another segment than its end
        self._lock = threading.Lock()

    def take(self, path: Path, wanted: Callable[[Entry], bool]) -> int:
        """Send every wanted record of a spool; return how many there are.

        Raises:
            SpoolError: it cannot be read.
        """
        spool = read(path)
        left = _Left(self, path)
        left.tell(spool.entries, LooseState.PROMISED)
        entries = [entry for entry in spool.entries if wanted(entry)]
        if entries:
            with self._lock:
                self._openings.promised(entries)
            self._sender.offer(Spool(path, spool.boundary, left), entries)
            self._sender.flush()
        return len(entries)

    @property
    def busy(self) -> bool:
        """Whether something is still on its way."""
        return self._sender.pending > 0

    def stop(self, seconds: float = math.inf) -> None:
        """Stop; what is unsent stays in its spool, and what a silent service has in its hands is sent again."""
        self._sender.stop(min(PATIENCE, seconds))

    def judge(self, ask: Callable[[Openings], Verdicts]) -> None:
        """Post what is known of whole items after some of their records were answered."""
        with self._lock:
            verdicts = ask(self._openings)
        if verdicts.accepted or verdicts.refused:
            self._post(SentOn(tuple(verdicts.accepted), tuple(verdicts.refused)))

    def post(self, event: Event) -> None:
        """Tell the supervisor."""
        self._post(event)


class _Left:
    """Hears what becomes of one spool's records."""

    def __init__(self, relay: Relay, path: Path) -> None:
        self._relay, self._path = relay, path

    def accepted(self, entries: list[Entry]) -> None:
        self.tell(entries, LooseState.ACCEPTED)
        self._relay.judge(lambda openings: openings.accepted(entries))

    def refused(self, entry: Entry, reason: str) -> None:
        self.tell([entry], LooseState.REFUSED, reason)
        self._relay.judge(lambda openings: openings.refused(entry, reason))

    def tell(self, entries: list[Entry], state: LooseState, reason: str = "") -> None:
        """Post the news of records that belong to no item."""
        news = tuple(loose_record(one, state, reason) for one in entries if is_loose(one.header))
        if news:
            self._relay.post(LooseNews(stem_of(self._path), news))
