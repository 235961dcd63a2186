"""Who is told what becomes of records: one protocol, wherever they are sent from."""

from __future__ import annotations

from typing import Protocol

from evalrunner.delivery.spool.writer import Entry


class RecordListener(Protocol):
    """Hears what becomes of a spool's records that are being sent, on the sender's thread.

    What it raises refuses the records that it was told of; nobody else's.
    """

    def accepted(self, entries: list[Entry]) -> None:
        """The service has taken these records (book A)."""

    def refused(self, entry: Entry, reason: str) -> None:
        """The service has not taken this record, and it is not sent again by this process."""


class DeliveryListener(RecordListener, Protocol):
    """Hears of everything that a sender sends, and of what holds it up."""

    def note(self, text: str) -> None:
        """What holds things up, in a short sentence for people; "" when nothing does any more."""


class SpoolListener(RecordListener, Protocol):
    """Hears of a spool's records from the moment in which they are durable, on the spool's thread."""

    def durable(self, entries: list[Entry]) -> None:
        """fdatasync has returned for these records (book P); they are offered to the sender after this."""

    def failed(self, error: Exception) -> None:
        """The spool can no longer be written: what was not said to be durable never will be."""
