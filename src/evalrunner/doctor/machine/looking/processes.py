"""How processes can come to be here."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass

from evalrunner.engines.room import room_for_sockets


@dataclass(frozen=True)
class Processes:
    """What there is.

    Attributes:
        methods: of starting a process, this Python's default first.
        sockets: there is a folder in which the forkserver can listen.
    """

    methods: tuple[str, ...]
    sockets: bool


def look() -> Processes:
    """Read it."""
    return Processes(tuple(multiprocessing.get_all_start_methods()), room_for_sockets())
