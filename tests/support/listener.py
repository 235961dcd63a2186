"""A listener that passes on what it hears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evalrunner.delivery.spool.writer import Entry


@dataclass
class Hears:
    """A `DeliveryListener` made of functions."""

    on_accepted: Callable[[list[Entry]], None]
    on_refused: Callable[[Entry, str], None]
    on_note: Callable[[str], None] = lambda text: None

    def accepted(self, entries: list[Entry]) -> None:
        self.on_accepted(entries)

    def refused(self, entry: Entry, reason: str) -> None:
        self.on_refused(entry, reason)

    def note(self, text: str) -> None:
        self.on_note(text)
