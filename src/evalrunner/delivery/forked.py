"""Locks in a copy of this process, which a target may make by a fork.

A thread may hold a lock at that moment, and the copy has no such thread: whoever waits for it there waits for ever,
and the target for the copy. What a lock guards may be torn there; nothing of it is used but to end.
"""

from __future__ import annotations

import os
import threading
import weakref


def renew_in_copies(owner: object, name: str) -> None:
    """Give an object's lock, its attribute `name`, a new one in every copy of this process."""
    known = weakref.ref(owner)

    def renew() -> None:
        if (there := known()) is not None:
            setattr(there, name, threading.Lock())

    os.register_at_fork(after_in_child=renew)
