"""What is to be told to the supervisor, and when. No thread, no lock, no pipe, no clock: reporter.py has them."""

from __future__ import annotations

from evalrunner.delivery.pipeline import loose_record, produced_item
from evalrunner.delivery.spool.openings import Openings, Verdicts, is_loose
from evalrunner.delivery.spool.writer import Entry
from evalrunner.protocol.loose import About, LooseRecord, LooseState
from evalrunner.protocol.messages import Message
from evalrunner.protocol.reports import Ack, ProducedItem, Report

#: Seconds that a report waits for company, unless a lane waits for work: a report costs the supervisor a
#: commit, and it is the report that brings the next lease.
GATHER = 0.1


class Reports:
    """What has happened since the last report, and what all of them have told."""

    def __init__(self) -> None:
        self._produced: list[ProducedItem] = []
        self._accepted: list[tuple[int, int]] = []
        self._refused: list[tuple[int, int, str]] = []
        self._loose: list[LooseRecord] = []
        self._withheld: list[tuple[int, int, str]] = []
        self._openings = Openings()
        self._note: str | None = None
        self._last_note = ""
        self._since: float | None = None  # when the first of these was noted
        self._told = {"produced": 0, "accepted": 0, "refused": 0, "loose": 0}
        self._unspooled = 0
        self._last_word: Ack | None = None

    # -- what happens ---------------------------------------------------------------------------------

    def durable(self, entries: list[Entry]) -> None:
        """These records are durable."""
        self._openings.promised(entries)
        self._produced.extend(made for made in map(produced_item, entries) if made is not None)
        self._take_loose(entries, LooseState.PROMISED)

    def accepted(self, entries: list[Entry]) -> None:
        """The service has taken all of these records."""
        self._judge(self._openings.accepted(entries))
        self._take_loose(entries, LooseState.ACCEPTED)

    def refused(self, entry: Entry, reason: str) -> None:
        """A record will not be sent again by this worker."""
        self._judge(self._openings.refused(entry, reason))
        self._take_loose([entry], LooseState.REFUSED, reason)

    def unspooled(self, kind: str, op_id: str, name: str, reason: str) -> None:
        """Something which had to be sent without a spool was not taken."""
        self._unspooled += 1
        about = [About(kind, op_id, name)]
        self._loose.append(LooseRecord(-self._unspooled, LooseState.REFUSED, reason, about))

    def withheld(self, item: int, token: int, kind: str) -> None:
        """An item has failed, and its failure is held back."""
        self._withheld.append((item, token, kind))

    def note(self, text: str) -> None:
        """What holds things up, for people; "" when nothing does any more."""
        self._note = text

    def close(self, outside: int, undelivered: int, trouble: str) -> None:
        """Nothing more will happen: the last word is to be said."""
        self._last_word = Ack(outside, undelivered, trouble)

    def noted(self, now: float) -> None:
        """All of that happened at `now`."""
        if self._since is None and self._anything():
            self._since = now

    # -- what to do -----------------------------------------------------------------------------------

    def due(self, *, starving: bool) -> float | None:
        """Return when there is something to say; None while there is nothing.

        Args:
            starving: a lane waits for work, which a report may bring: it waits for no company.
        """
        if self._last_word is not None:
            return 0.0
        if self._since is None:
            return None
        return self._since if starving else self._since + GATHER

    def take(self) -> list[Message]:
        """Return what is to be said now, in order; the `Ack`, which is the last word, says how much was told."""
        messages: list[Message] = []
        if self._anything():
            messages.append(self._report())
        if self._last_word is not None:
            last = self._last_word
            messages.append(Ack(last.outside, last.undelivered, last.trouble, **self._told))
        self._since = None
        return messages

    def _report(self) -> Report:
        if self._note is not None:
            self._last_note = self._note
        report = Report(
            self._produced, self._accepted, self._refused, self._last_note, self._loose, self._withheld
        )
        for name in self._told:
            self._told[name] += len(getattr(report, name))
        self._produced, self._accepted, self._refused, self._loose, self._withheld = [], [], [], [], []
        self._note = None
        return report

    def _judge(self, verdicts: Verdicts) -> None:
        self._accepted.extend(verdicts.accepted)
        self._refused.extend(verdicts.refused)

    def _take_loose(self, entries: list[Entry], state: LooseState, reason: str = "") -> None:
        self._loose.extend(loose_record(one, state, reason) for one in entries if is_loose(one.header))

    def _anything(self) -> bool:
        facts = self._produced or self._accepted or self._refused or self._loose or self._withheld
        return bool(facts) or self._note is not None
