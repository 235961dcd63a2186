"""Live mode: an item is accepted when the posts with which its runs began are accepted too.

They go ahead of the item's own record, as records of their own. A root of which only the end has arrived has no
inputs; it must not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from evalrunner.delivery.spool.record import Header
from evalrunner.delivery.spool.writer import Entry

Lease = tuple[int, int]
"""(item, token)"""


def opening_of(header: Header) -> Lease | None:
    """Return whose opening a record is, or None."""
    found = header.meta.get("opening") if header.item is None else None
    return (int(found[0]), int(found[1])) if found else None


def item_of(header: Header) -> Lease | None:
    """Return which item's own record it is, or None."""
    return None if header.item is None or header.token is None else (header.item, header.token)


def is_loose(header: Header) -> bool:
    """Whether a record belongs to no item at all."""
    return header.item is None and opening_of(header) is None


@dataclass
class Verdicts:
    """What is known of whole items now, by lease."""

    accepted: list[Lease] = field(default_factory=list)
    refused: list[tuple[int, int, str]] = field(default_factory=list)


@dataclass
class _Item:
    pending: set[int] = field(default_factory=set)
    refusal: str = ""
    accepted: bool = False


class Openings:
    """Joins what becomes of an item's records; not thread-safe, its owner holds a lock."""

    def __init__(self) -> None:
        self._items: dict[Lease, _Item] = {}

    def promised(self, entries: Iterable[Entry]) -> None:
        """Note records that are going to be sent; an item's openings come before its own record."""
        for entry in entries:
            lease = opening_of(entry.header)
            if lease is not None:
                self._items.setdefault(lease, _Item()).pending.add(entry.seq)

    def accepted(self, entries: Iterable[Entry]) -> Verdicts:
        """Take in that records were accepted."""
        verdicts = Verdicts()
        for entry in entries:
            lease, opened = item_of(entry.header), opening_of(entry.header)
            if opened is not None and opened in self._items:
                self._items[opened].pending.discard(entry.seq)
                self._settle(opened, verdicts)
            elif lease is not None and lease in self._items:
                self._items[lease].accepted = True
                self._settle(lease, verdicts)
            elif lease is not None:
                verdicts.accepted.append(lease)
        return verdicts

    def refused(self, entry: Entry, reason: str) -> Verdicts:
        """Take in that a record was refused."""
        verdicts = Verdicts()
        lease, opened = item_of(entry.header), opening_of(entry.header)
        if lease is not None:
            self._items.pop(lease, None)
            verdicts.refused.append((*lease, reason))
        elif opened is not None and opened in self._items:
            item = self._items[opened]
            item.pending.discard(entry.seq)
            item.refusal = item.refusal or f"the post that opens its trace was refused: {reason}"
            self._settle(opened, verdicts)
        return verdicts

    def _settle(self, lease: Lease, verdicts: Verdicts) -> None:
        item = self._items[lease]
        if item.pending or not item.accepted:
            return
        del self._items[lease]
        if item.refusal:
            verdicts.refused.append((*lease, item.refusal))
        else:
            verdicts.accepted.append(lease)
