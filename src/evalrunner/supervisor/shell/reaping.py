"""Taking leave of a dead worker: what it said last, how it ended, what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evalrunner.delivery.spool.files import segments_of, stem_of
from evalrunner.errors import SpoolError
from evalrunner.protocol.messages import Message
from evalrunner.protocol.reports import ProducedItem
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core.state import SupervisorState
from evalrunner.supervisor.shell.context import RunContext
from evalrunner.supervisor.shell.open_runs import open_runs
from evalrunner.supervisor.shell.pool import WorkerHandle
from evalrunner.supervisor.shell.remains import produced_in, unsent
from evalrunner.verify import findings


class Reaper:
    """Reaps workers.

    Args:
        hear: takes what one has said before it died, and was not heard yet.
        handle: takes the event of its death, and has acted on it when it returns.
    """

    def __init__(
        self,
        context: RunContext,
        state: SupervisorState,
        hear: Callable[[int, Message], None],
        handle: Callable[[ev.Event], None],
    ) -> None:
        self._p = context
        self._state = state
        self._hear = hear
        self._handle = handle

    def reap(self, number: int) -> None:
        """Believe that a worker is dead; have what it held given to others, and what it finished sent on."""
        handle = self._p.pool.handles[number]
        # What it said before it died is still on its way to us.
        for message in handle.process.last_words():
            self._hear(number, message)
        how = self._p.pool.how_it_ended(number)
        clean = handle.left_in_order
        made, suspects = ([], frozenset[int]()) if clean else self._remains(handle)
        self._p.pool.reap(number)
        self._p.course.notes.pop(f"worker {number}", None)
        if not clean:
            # Before its replacement comes: they may hold what that one needs, a GPU's memory say.
            self.end_leftovers(f"worker {handle.process.slot}: its target", number)
        with self._p.ledger.transaction():
            self._p.ledger.worker_ended(number, how)
        self._handle(ev.WorkerGone(number, how, suspects, tuple(made)))
        retired = self._state.workers[number].standing.retired
        if not clean or retired or (handle.ack is not None and handle.ack.undelivered):
            self._send_on(handle.spool, how)

    def _remains(self, handle: WorkerHandle) -> tuple[list[ProducedItem], frozenset[int]]:
        """Return what it had produced, and what it was executing."""
        if handle.ack is not None:
            told = f"worker {handle.process.slot}: a report of it is missing; its spool is read"
            self._p.observer.line(told)
        return produced_in(handle.spool), frozenset(handle.process.executing())

    def end_leftovers(self, whose: str, number: int | None = None) -> None:
        """End what the target of a dead worker, or of any, has left running, and say so."""
        ended = self._p.pool.end_leftovers(number)
        if ended:
            found = findings.processes_left(whose, ended)
            self._p.course.findings.append(found)
            self._p.observer.line(found.text)

    def _send_on(self, spool: Path, how: str) -> None:
        segments = segments_of(spool)
        if not segments:
            return  # it died before it had anything to do
        try:
            wanted = unsent(self._state.items, self._p.loose.arrived(stem_of(spool)))
            # What another command has taken over would stand there twice; the next run in this folder knows better.
            for segment in segments if not self._p.course.taken else ():
                self._p.relay.take(segment, wanted)
            if self._p.config.worker.live:
                self._p.error_runs.close_runs(open_runs(segments), f"evalrunner: its worker {how}")
        except (SpoolError, OSError) as error:
            self._p.observer.line(f"what a dead worker left cannot be read: {error}")
