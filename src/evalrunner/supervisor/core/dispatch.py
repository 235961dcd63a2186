"""Who is given which items, and who is told that there are no more. Pure."""

from __future__ import annotations

from evalrunner.protocol.worker import WorkerState
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.policy import window
from evalrunner.supervisor.core.trials import shown
from evalrunner.supervisor.core.workers import Knowledge, Worker

W = WorkerState


class Dispatch(Knowledge):
    """Gives out what nobody has, after every event."""

    def _dispatch(self, concerned: int | None) -> None:
        if not self._begun:
            return
        if self.out_of_time:
            return  # the loop will ask for an end
        # Those that still load get their share too: the first to be ready must not take it all.
        sharing = len(self._able) + len(self._loading)
        for number in self._whom(concerned, sharing):
            worker = self.workers[number]
            self._fill(number, worker, sharing)
            if self._trials.should_retire(worker.standing, worker.held):
                self._retire(number)
        self._offered, self._sharing = self._book.pending, sharing
        if not self.executing and not self.stopping:
            self._drain_all()

    def _whom(self, concerned: int | None, sharing: int) -> list[int]:
        """Return the workers that may have use for an item now, and had none at the last dispatch.

        That is the one that the event is about. Everybody else had what he may hold: his window grows only when
        there is more to give, or fewer share it; and who may try an item that failed elsewhere depends on all.
        """
        if self._book.aside or self._book.pending > self._offered or sharing < self._sharing:
            return sorted(self._able, key=lambda number: (len(self.workers[number].held), number))
        return [concerned] if concerned in self._able else []

    def _drain_all(self) -> None:
        for number in sorted(self._able):
            self._move(number, W.DRAINING)
            self.workers[number].ending_since = self._now
            self._out.append(do.SendDrain(number))
        for number in list(self._loading):
            self._let_go(number)

    def _fill(self, number: int, worker: Worker, sharing: int) -> None:
        standing, held = worker.standing, worker.held
        room = window(worker.concurrency, worker.rate, self._book.pending, sharing)
        room -= len(held) - len(standing.withheld)
        fresh = worker.done == 0
        items = self._trials.offer(standing, fresh=fresh, held=held, room=room, hope=self._hope())
        grants = [self._grant(item, number, worker) for item in items]
        while room > len(grants) and standing.trying is None:
            item = self._book.next_for(held)
            if item is None:
                break
            grants.append(self._grant(item, number, worker))
        if grants:
            worker.state = W.BUSY
            self._out.append(do.SendLease(number, tuple(grants)))

    def _grant(self, item: int, number: int, worker: Worker) -> do.Grant:
        worker.held.add(item)
        self._held += 1
        return self._book.lease(item, number)

    def _hope(self) -> bool:
        """Whether a worker is there, or on its way, in which an item may be tried that failed in another."""
        if not self._book.aside or self._coming:
            return bool(self._coming)
        for worker in self.workers.values():
            coming = worker.state is W.STARTING and not worker.dismissed and not worker.why_not
            there = worker.state in (W.READY, W.BUSY) and not worker.standing.withheld
            fresh = worker.done == 0 and not worker.held
            known = worker.standing.proven or worker.standing.trying is not None
            if coming or (there and (fresh or known)):
                return True
        return False

    def _retire(self, number: int) -> None:
        worker = self.workers[number]
        kinds = ", ".join(sorted({shown(kind) for kind in worker.standing.withheld.values()}))
        worker.standing.retired = True
        self._move(number, W.DRAINING)
        worker.ending_since = self._now
        self._out.append(do.SendRetire(number))
        self._out.append(
            do.Say(
                f"worker {worker.slot} is retired: {len(worker.standing.withheld)} item(s) failed in it with "
                f"{kinds}, which may be the fault of its process; one of them is tried in a fresh one"
            )
        )
