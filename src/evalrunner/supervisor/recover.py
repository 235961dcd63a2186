"""Taking up what an earlier run of the command has left: its processes, its spools, its leases.

Afterwards no item is held, what was finished has been sent, and what was sent has been looked for.
"""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable
from pathlib import Path

from evalrunner.delivery.pipeline import produced_item
from evalrunner.delivery.spool.files import in_order, stem_of
from evalrunner.delivery.spool.openings import is_loose, item_of
from evalrunner.delivery.spool.writer import Entry, read
from evalrunner.errors import SpoolError
from evalrunner.protocol.lease import HELD, IN_SPOOL, ItemState
from evalrunner.protocol.rows import ItemRow
from evalrunner.supervisor.core.events import LooseNews, Seen, SentOn
from evalrunner.supervisor.shell.confirm import Confirmer, Wanted
from evalrunner.supervisor.shell.context import RunContext
from evalrunner.supervisor.shell.open_runs import open_runs
from evalrunner.supervisor.shell.remains import synced
from evalrunner.verify.readback import ReadBack

S = ItemState


def recover(context: RunContext, readback: ReadBack, stop_asked: Callable[[], int]) -> None:
    """Bring an interrupted run to rest.

    Args:
        readback: of the experiment.
        stop_asked: how often the user wants an end.
    """
    killed = context.pool.end_earlier(context.ledger.workers())
    if killed:
        context.observer.line(f"killed {killed} worker(s) that an earlier run had left behind")
    files = in_order(context.folder.spool.glob("*.spool"))
    _adopt(context, files)
    _send(context, files, _made_elsewhere(context, readback), stop_asked)
    _confirm(context, stop_asked)
    # What is still in the queue must not be taken for an answer about this run's attempts.
    while not context.events.empty():
        event = context.events.get_nowait()
        if isinstance(event, LooseNews):
            context.loose.note(event.spool, list(event.records))


def _adopt(context: RunContext, files: list[Path]) -> None:
    """Believe the spools: what they hold is produced; what was leased and is not there is given back."""
    ledger = context.ledger
    rows = {row.item: row for row in ledger.items() if row.state in HELD or row.state is S.FAILED}
    with ledger.transaction():
        for worker in ledger.workers():
            if worker.ended is None:
                ledger.worker_ended(worker.worker, "ended with its supervisor")
        for path in files:
            _adopt_file(context, path, rows)
        for row in ledger.items():
            if row.state in HELD or row.state is S.RETRYABLE:
                ledger.move(row.item, S.AVAILABLE)
                _tell(context, row, "its supervisor died; given back")


def _adopt_file(context: RunContext, path: Path, rows: dict[int, ItemRow]) -> None:
    for made in (produced_item(entry) for entry in _entries(path)):
        row = rows.get(made.item) if made is not None else None
        if made is None or row is None or row.token != made.token:
            continue
        if row.state in HELD or row.state is S.FAILED:
            context.ledger.produced(made, row.worker or 0)
            _tell(context, row, "produced: found in the spool of a dead worker")


def _tell(context: RunContext, row: ItemRow, what: str) -> None:
    context.ledger.tell([(context.clock.utcnow().timestamp(), row.item, row.worker, row.token, what)])


def _made_elsewhere(context: RunContext, readback: ReadBack) -> set[int]:
    """Return the unsent items that have become complete without us: another folder, another machine.

    To send ours now would only put a second run beside the one that counts.
    """
    unsent = [row for row in context.ledger.items() if row.state is S.PRODUCED]
    if not unsent:
        return set()
    complete: dict[str, set[str]] = {}
    for root in readback.roots():
        if root.ended and root.example_id and root.error is None:
            complete.setdefault(root.example_id, set()).add(root.id)
    enough = context.scope.repetitions
    return {
        row.item
        for row in unsent
        if row.run_id not in (there := complete.get(row.example_id, set())) and len(there) >= enough
    }


def _send(context: RunContext, files: list[Path], skip: set[int], stop_asked: Callable[[], int]) -> None:
    wanted = {
        row.item: row.token
        for row in context.ledger.items()
        if row.state in IN_SPOOL and row.item not in skip
    }

    sending = 0
    for path in files:
        if _entries(path):
            sending += context.relay.take(path, _is_wanted(wanted, context.loose.arrived(stem_of(path))))
    for _, segments in itertools.groupby((path for path in files if _entries(path)), key=stem_of):
        # Whether the earlier run was live is not known; without live posts there is nothing open.
        context.error_runs.close_runs(open_runs(list(segments)), "evalrunner: its worker died")
    if sending:
        context.observer.line(f"sending on {sending} finished trace(s) of an earlier run")
    while (context.error_runs.busy or context.relay.busy or not context.events.empty()) and not stop_asked():
        _take_event(context)


def _is_wanted(items: dict[int, int], arrived: set[int]) -> Callable[[Entry], bool]:
    def is_wanted(entry: Entry) -> bool:
        lease = item_of(entry.header)
        if lease is not None:
            return items.get(lease[0]) == lease[1]
        # Openings of any attempt: sending them twice makes nothing twice.
        return not is_loose(entry.header) or entry.seq not in arrived

    return is_wanted


def _take_event(context: RunContext) -> None:
    try:
        event = context.events.get(timeout=0.1)
    except queue.Empty:
        return
    if isinstance(event, LooseNews):
        context.loose.note(event.spool, list(event.records))
        context.loose.flush()
        return
    with context.ledger.transaction():
        if isinstance(event, SentOn):
            for item, _ in event.accepted:
                context.ledger.move(item, S.ACCEPTED, reason=None)
            for item, _, reason in event.refused:
                context.ledger.move(item, S.NOT_DELIVERED, reason=reason)
        elif isinstance(event, Seen):
            for item in event.items:
                context.ledger.move(item, S.VISIBLE, reason=None)


def _confirm(context: RunContext, stop_asked: Callable[[], int]) -> None:
    """Wait for what is accepted: to plan before it is readable would be to execute it twice."""
    waiting = {
        row.item: Wanted(tuple(row.runs), tuple(row.feedback))
        for row in context.ledger.items()
        if row.state in (S.ACCEPTED, S.NOT_VISIBLE) and row.runs
    }
    if not waiting:
        return
    confirmer = context.new_confirmer()
    try:
        confirmer.want(waiting)
        confirmer.hurry()
        missed = _awaited(context, confirmer, stop_asked)
    finally:
        confirmer.stop()
    with context.ledger.transaction():
        for item, reason in missed.items():
            context.ledger.move(item, S.NOT_VISIBLE, reason=f"of an earlier run: {reason}")


def _awaited(context: RunContext, confirmer: Confirmer, stop_asked: Callable[[], int]) -> dict[int, str]:
    """Wait until everything has come back, or long enough; return what has not, with the reason."""
    left, since = confirmer.waiting, context.clock.monotonic()
    while confirmer.waiting or not context.events.empty():
        _take_event(context)
        now = context.clock.monotonic()
        if confirmer.waiting != left:
            left, since = confirmer.waiting, now
        if now - since > context.config.visible_deadline or stop_asked():
            break
    missed = confirmer.missed().items
    while not context.events.empty():  # whatever came back and is not in it lies there by now
        _take_event(context)
    return missed


def _entries(path: Path) -> list[Entry]:
    try:
        return read(synced(path)).entries
    except (SpoolError, OSError):
        return []
