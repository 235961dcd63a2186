"""What the ledger of a run of ours says of items that are not there."""

from __future__ import annotations

import re
from pathlib import Path

from evalrunner.doctor.causes import Cause
from evalrunner.doctor.inside import Inside, of_status
from evalrunner.ledger.stories import stories
from evalrunner.protocol.lease import ItemState

LEDGER = "ledger.sqlite"
_STATUS = re.compile(r"\b([45]\d\d)\b")
#: State -> why an item in it is not there, and what the ledger knows, in words.
_KNOWN = {
    ItemState.AVAILABLE: (Cause.NEVER_STARTED, "nobody had it yet when the run ended"),
    ItemState.CANCELLED: (Cause.NEVER_STARTED, "the run was stopped before it was executed"),
    ItemState.LEASED: (Cause.KILLED, "a worker had it when the run ended"),
    ItemState.RETRYABLE: (Cause.KILLED, "its worker died, and its trace was not finished"),
    ItemState.PRODUCED: (Cause.OUTAGE, "its trace lies in the run's folder (`evalrunner resume` sends it)"),
    ItemState.ACCEPTED: (Cause.FORGOTTEN, "the service has accepted all of it"),
    ItemState.NOT_VISIBLE: (Cause.FORGOTTEN, "the service has accepted all of it"),
}


def read_books(run_dir: Path, found: Inside) -> None:
    """Add what a run's ledger says to `found`, by example.

    Raises:
        RunFolderError: it cannot be read.
    """
    with stories(run_dir / LEDGER) as told:
        for example, state, reason in told.unfinished():
            if state is ItemState.NOT_DELIVERED:
                status = _STATUS.search(reason or "")
                cause = of_status(int(status[1]), reason or "") if status else Cause.OUTAGE
                found.books[example] = (cause, f"its trace was not taken: {reason}")
            elif state in _KNOWN:
                found.books[example] = _KNOWN[state]
