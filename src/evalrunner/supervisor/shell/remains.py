"""What a dead worker has left on disk: what it had produced, and what of it is still to be sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from evalrunner.delivery.pipeline import produced_item
from evalrunner.delivery.spool.files import segments_of
from evalrunner.delivery.spool.openings import is_loose, item_of, opening_of
from evalrunner.delivery.spool.writer import Entry, read
from evalrunner.errors import SpoolError
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import ProducedItem
from evalrunner.supervisor.core.items import Item

_ARRIVED = frozenset({ItemState.ACCEPTED, ItemState.VISIBLE})


def produced_in(spool: Path) -> list[ProducedItem]:
    """Return what a dead worker had produced."""
    made: list[ProducedItem | None] = []
    for segment in segments_of(spool):
        try:
            made += [produced_item(entry) for entry in read(synced(segment)).entries]
        except (SpoolError, OSError):
            # It died before it had a spool (or its head is damaged): it has produced nothing that counts.
            continue
    return [item for item in made if item is not None]


def synced(spool: Path) -> Path:
    """Make a dead worker's spool durable, then return its path.

    What it wrote and did not live to sync is in the page cache: readable now, gone after a power cut; and
    nothing is believed before it is durable.
    """
    fd = os.open(spool, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)
    return spool


def unsent(items: dict[int, Item], arrived: set[int]) -> Callable[[Entry], bool]:
    """Say which records of a dead worker are to be sent on.

    Args:
        arrived: numbers of the loose ones that need not be.
    """

    def wanted(entry: Entry) -> bool:
        if is_loose(entry.header):
            return entry.seq not in arrived
        lease, opened = item_of(entry.header), opening_of(entry.header)
        number, token = lease or opened or (-1, -1)
        item = items.get(number)
        if item is None or item.token != token:
            # Of an attempt that died: its end is written, and needs a beginning.
            return opened is not None
        return item.state is ItemState.PRODUCED or (opened is not None and item.state not in _ARRIVED)

    return wanted
