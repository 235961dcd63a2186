"""Taking up what an earlier run of the command has left: its processes, its spools, its leases.

Afterwards no item is held, what was finished has been sent, and what was sent has been looked for.
"""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable
from pathlib import Path

from evalrunner.delivery.pipeline import produced_item
from evalrunner.delivery.spool.openings import is_loose, item_of
from evalrunner.delivery.spool.writer import Entry, in_order, read, stem_of
from evalrunner.errors import SpoolError
from evalrunner.ledger.ledger import ItemRow
from evalrunner.protocol.lease import HELD, IN_SPOOL, ItemState
from evalrunner.supervisor.core.events import LooseNews, Seen, SentOn
from evalrunner.supervisor.shell.confirm import Wanted
from evalrunner.supervisor.shell.context import Parts
from evalrunner.supervisor.shell.open_runs import open_runs
from evalrunner.supervisor.shell.pool import kill_leftovers, synced
from evalrunner.verify.readback import ReadBack

S = ItemState


def recover(parts: Parts, readback: ReadBack, stop_asked: Callable[[], int]) -> None:
    """Bring an interrupted run to rest.

    Args:
        readback: of the experiment.
        stop_asked: how often the user wants an end.
    """
    killed = kill_leftovers(parts.ledger.workers())
    if killed:
        parts.observer.line(f"killed {killed} worker(s) that an earlier run had left behind")
    files = in_order(parts.folder.spool.glob("*.spool"))
    _adopt(parts, files)
    _send(parts, files, _made_elsewhere(parts, readback), stop_asked)
    _confirm(parts, stop_asked)


def _adopt(parts: Parts, files: list[Path]) -> None:
    """Believe the spools: what they hold is produced; what was leased and is not there is given back."""
    ledger = parts.ledger
    rows = {row.item: row for row in ledger.items() if row.state in HELD or row.state is S.FAILED}
    with ledger.transaction():
        for worker in ledger.workers():
            if worker.ended is None:
                ledger.worker_ended(worker.worker, "ended with its supervisor")
        for path in files:
            _adopt_file(parts, path, rows)
        for row in ledger.items():
            if row.state in HELD or row.state is S.RETRYABLE:
                ledger.move(row.item, S.AVAILABLE)
                _tell(parts, row, "its supervisor died; given back")


def _adopt_file(parts: Parts, path: Path, rows: dict[int, ItemRow]) -> None:
    for made in (produced_item(entry) for entry in _entries(path)):
        row = rows.get(made.item) if made is not None else None
        if made is None or row is None or row.token != made.token:
            continue
        if row.state in HELD or row.state is S.FAILED:
            parts.ledger.produced(made, row.worker or 0)
            _tell(parts, row, "produced: found in the spool of a dead worker")


def _tell(parts: Parts, row: ItemRow, what: str) -> None:
    parts.ledger.tell([(parts.clock.utcnow().timestamp(), row.item, row.worker, row.token, what)])


def _made_elsewhere(parts: Parts, readback: ReadBack) -> set[int]:
    """Return the unsent items that have become complete without us: another folder, another machine.

    To send ours now would only put a second run beside the one that counts.
    """
    unsent = [row for row in parts.ledger.items() if row.state is S.PRODUCED]
    if not unsent:
        return set()
    complete: dict[str, set[str]] = {}
    for root in readback.roots():
        if root.ended and root.example_id and root.error is None:
            complete.setdefault(root.example_id, set()).add(root.id)
    enough = parts.scope.repetitions
    return {
        row.item
        for row in unsent
        if row.run_id not in (there := complete.get(row.example_id, set())) and len(there) >= enough
    }


def _send(parts: Parts, files: list[Path], skip: set[int], stop_asked: Callable[[], int]) -> None:
    wanted = {
        row.item: row.token for row in parts.ledger.items() if row.state in IN_SPOOL and row.item not in skip
    }

    sending = 0
    for path in files:
        if _entries(path):
            sending += parts.relay.take(path, _is_wanted(wanted, parts.loose.arrived(stem_of(path))))
    for _, segments in itertools.groupby((path for path in files if _entries(path)), key=stem_of):
        # Whether the earlier run was live is not known; without live posts there is nothing open.
        parts.error_runs.close_runs(open_runs(list(segments)), "evalrunner: its worker died")
    if sending:
        parts.observer.line(f"sending on {sending} finished trace(s) of an earlier run")
    while (parts.relay.busy or parts.error_runs.busy or not parts.events.empty()) and not stop_asked():
        _take_event(parts)


def _is_wanted(items: dict[int, int], arrived: set[int]) -> Callable[[Entry], bool]:
    def is_wanted(entry: Entry) -> bool:
        lease = item_of(entry.header)
        if lease is not None:
            return items.get(lease[0]) == lease[1]
        # Openings of any attempt: sending them twice makes nothing twice.
        return not is_loose(entry.header) or entry.seq not in arrived

    return is_wanted


def _take_event(parts: Parts) -> None:
    try:
        event = parts.events.get(timeout=0.1)
    except queue.Empty:
        return
    if isinstance(event, LooseNews):
        parts.loose.note(event.spool, list(event.records))
        parts.loose.flush()
        return
    with parts.ledger.transaction():
        if isinstance(event, SentOn):
            for item, _ in event.accepted:
                parts.ledger.move(item, S.ACCEPTED, reason=None)
            for item, _, reason in event.refused:
                parts.ledger.move(item, S.NOT_DELIVERED, reason=reason)
        elif isinstance(event, Seen):
            for item in event.items:
                parts.ledger.move(item, S.VISIBLE, reason=None)


def _confirm(parts: Parts, stop_asked: Callable[[], int]) -> None:
    """Wait for what is accepted: to plan before it is readable would be to execute it twice."""
    waiting = {
        row.item: Wanted(tuple(row.runs), tuple(row.feedback))
        for row in parts.ledger.items()
        if row.state in (S.ACCEPTED, S.NOT_VISIBLE) and row.runs
    }
    if not waiting:
        return
    parts.confirmer.want(waiting)
    parts.confirmer.hurry()
    left, since = len(waiting), parts.clock.monotonic()
    while parts.confirmer.waiting or not parts.events.empty():
        _take_event(parts)
        now = parts.clock.monotonic()
        if parts.confirmer.waiting != left:
            left, since = parts.confirmer.waiting, now
        if now - since > parts.config.visible_deadline or stop_asked():
            break
    missed = parts.confirmer.missed().items
    while not parts.events.empty():  # whatever came back and is not in it lies there by now
        _take_event(parts)
    with parts.ledger.transaction():
        for item, reason in missed.items():
            parts.confirmer.forget(item)
            parts.ledger.move(item, S.NOT_VISIBLE, reason=f"of an earlier run: {reason}")


def _entries(path: Path) -> list[Entry]:
    try:
        return read(synced(path)).entries
    except (SpoolError, OSError):
        return []
