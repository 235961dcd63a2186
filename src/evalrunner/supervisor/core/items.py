"""The items' half of the supervisor's judgment: every move of an item, and what is written about it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from evalrunner.protocol.lease import HELD, ItemMove, ItemState, move
from evalrunner.protocol.reports import ProducedItem
from evalrunner.protocol.story import Happened
from evalrunner.supervisor.core import instructions as do

S, M, H = ItemState, ItemMove, Happened


@dataclass(slots=True)
class Item:
    """One item, as much of it as must be in memory."""

    state: ItemState
    attempt: int = 0
    token: int = 0
    deaths: int = 0
    spoilt: int = 0
    failed: bool = False
    #: Its run is there; it is only to be scored, and no attempt of the target is made.
    score: bool = False


class ItemBook:
    """All items of a run; what it decides is appended to `out`.

    Args:
        items: the plan; those that are AVAILABLE will be executed, in this order.
        max_attempts: deaths after which an item is given up.
        first_token: tokens of this run start here; higher than any that an earlier run gave.
    """

    def __init__(self, items: Iterable[tuple[int, Item]], max_attempts: int, first_token: int) -> None:
        self.items = dict(items)
        self.ready = deque(number for number, item in self.items.items() if item.state is S.AVAILABLE)
        #: Items that may have killed a worker.
        self._suspects = {number for number, item in self.items.items() if item.deaths}
        #: Items that failed in a worker which may be spoilt, and with what kind of error; the next to try first.
        self.aside: dict[int, str] = {}
        self.out: list[do.Instruction] = []
        self._max_attempts = max_attempts
        self._token = first_token

    # -- forward -------------------------------------------------------------------------------------

    def next_for(self, held: set[int]) -> int | None:
        """Take the next item for a worker that holds these; one that may have killed a worker goes alone.

        Beside it the innocent would die once more, and be given up with it.
        """
        if not self._suspects.isdisjoint(held):
            return None
        for number in self.ready:
            if not (held and number in self._suspects):
                self.ready.remove(number)
                return number
        return None

    def lease(self, number: int, worker: int) -> do.Grant:
        """Lease an item: under a token and an id that no other lease had."""
        item = self.items[number]
        self._token += 1
        item.token, item.attempt = self._token, item.attempt + (not item.score)
        item.state = move(item.state, M.LEASE)
        self._write(number, H.LEASED, worker)
        return do.Grant(
            number, item.token, item.attempt, item.score, self._spent(item) + 1 >= self._max_attempts
        )

    def _spent(self, item: Item) -> int:
        """Return how many executions of it have come to nothing in this run."""
        return item.deaths + item.spoilt

    @property
    def pending(self) -> int:
        """How many items nobody has."""
        return len(self.ready) + len(self.aside)

    def is_leased(self, number: int, token: int) -> bool:
        """Tell whether somebody holds the item under this token."""
        item = self.items[number]
        return item.state in HELD and item.token == token

    def produce(self, made: ProducedItem, worker: int) -> bool:
        """Believe that an item's trace is durable; False if the report is not about the current lease."""
        item = self.items[made.item]
        if not self.is_leased(made.item, made.token):
            self._late(made.item, made.token, worker, H.PRODUCED)
            return False
        item.state = move(item.state, M.PRODUCE)
        item.failed = made.error is not None
        what = H.SCORED if item.score else H.PRODUCED
        self.out.append(do.Write(made.item, item.state, what.value, worker, made.token, made=made))
        return True

    def accept(self, number: int, token: int, worker: int | None) -> None:
        """Believe that the server has answered 2xx for all of it."""
        item = self.items[number]
        if item.token != token or item.state not in (S.PRODUCED, S.NOT_DELIVERED):
            self._late(number, token, worker, H.ACCEPTED)
            return
        item.state = move(item.state, M.ACCEPT)
        self.out.append(do.Write(number, item.state, H.ACCEPTED.value, worker, token))

    def refuse(self, number: int, token: int, reason: str, worker: int | None) -> None:
        """Believe that it will not be sent again in this run."""
        item = self.items[number]
        if item.token != token or item.state is not S.PRODUCED:
            self._late(number, token, worker, H.REFUSED)
            return
        item.state = move(item.state, M.REFUSE)
        self.out.append(do.Write(number, item.state, H.REFUSED.value, worker, token, reason=reason))

    def see(self, number: int) -> None:
        """Believe that all of it came back."""
        item = self.items.get(number)
        if item is not None and item.state in (S.ACCEPTED, S.NOT_VISIBLE):
            item.state = move(item.state, M.SEE)
            self._write(number, H.VISIBLE)

    def miss(self, number: int, reason: str) -> None:
        """Give up waiting for it to come back."""
        item = self.items[number]
        if item.state is S.ACCEPTED:
            item.state = move(item.state, M.MISS)
            self._write(number, H.NOT_VISIBLE, reason=reason)

    # -- sideways ------------------------------------------------------------------------------------

    def lose(self, number: int, worker: int, how: str, *, suspect: bool) -> None:
        """Take back an item whose worker is known dead and whose trace is in no spool.

        Args:
            how: the worker's end, in words.
            suspect: it was being executed at that moment.
        """
        item = self.items[number]
        item.state = move(item.state, M.LOSE)
        item.deaths += suspect
        if suspect:
            self._suspects.add(number)
        if self._spent(item) >= self._max_attempts:
            self._give_up(number, worker, how)
            return
        if not suspect:
            # Never begun (what has ended lies in the spool): nothing bears this attempt's id.
            item.attempt -= not item.score
        item.state = move(item.state, M.RELEASE)
        again = H.SCORING_LOST if item.score else H.LOST
        self._write(number, again if suspect else H.GIVEN_BACK, worker)
        self.ready.appendleft(number)

    def set_aside(self, number: int, worker: int, kind: str) -> None:
        """Take back an item that failed in a worker, known dead by now, whose fault that may have been."""
        item = self.items[number]
        item.state = move(item.state, M.LOSE)
        item.spoilt += 1
        item.state = move(item.state, M.RELEASE)
        self._write(number, H.SET_ASIDE, worker)
        self.aside[number] = kind

    def next_aside(self) -> tuple[int, str]:
        """Take one of these: the last one, for among the first may be the one that has spoilt the worker."""
        return self.aside.popitem()

    def lose_for_good(self, number: int, worker: int, *, begun: bool) -> None:
        """Take back an item whose worker was killed because the run is being stopped; nobody is to blame.

        Args:
            begun: it was being executed.
        """
        item = self.items[number]
        item.state = move(item.state, M.LOSE)
        item.state = move(item.state, M.CANCEL)
        if begun and not item.score:
            self._write(number, H.CUT_OFF, worker, "the run was stopped while it was being executed")
        else:
            self._write(number, H.CANCELLED, worker, "the run was stopped")

    def _give_up(self, number: int, worker: int, how: str) -> None:
        item = self.items[number]
        verb = "scored" if item.score else "executed"
        died = f"{item.deaths} worker{'s' if item.deaths > 1 else ''} died while they {verb} it"
        spoilt = (
            f" ({item.spoilt} more execution failed in a worker that may be spoilt)" if item.spoilt else ""
        )
        reason = f"{died}{spoilt}; the last one {how}"
        item.state = move(item.state, M.GIVE_UP)
        item.failed = True
        # The ledger knows token and attempt of the error run before anything of it is durable.
        self._token += 1
        item.token, item.attempt = self._token, item.attempt + (not item.score)
        self._write(number, H.SCORING_GIVEN_UP if item.score else H.GIVEN_UP, worker, reason=reason)
        self.out.append(do.WriteErrorRun(number, item.token, item.attempt, reason, item.score))

    def error_run_written(self, made: ProducedItem) -> None:
        """Believe that its error run is durable."""
        item = self.items[made.item]
        item.state = move(item.state, M.PRODUCE)
        self.out.append(
            do.Write(made.item, item.state, H.ERROR_RUN_WRITTEN.value, None, made.token, made=made)
        )

    def cancel(self, number: int, reason: str, *, begun: bool = False) -> None:
        """Execute it no more in this run; `begun`: it has been executed under this lease, to no avail."""
        item = self.items[number]
        if item.state is S.LEASED and not begun:
            item.attempt -= not item.score  # never begun, as in `lose`
        item.state = move(item.state, M.CANCEL)
        self._write(number, H.CANCELLED, reason=reason)

    def cancel_ready(self, reason: str) -> None:
        """Cancel what nobody holds."""
        while self.ready:
            self.cancel(self.ready.popleft(), reason)
        while self.aside:
            self.cancel(self.next_aside()[0], reason)

    # -- writing -------------------------------------------------------------------------------------

    def _late(self, number: int, token: int, worker: int | None, what: Happened) -> None:
        # Not an error: the sender of a dead worker's spool may say again what the worker said itself.
        if self.items[number].token != token:
            self.out.append(do.Tell(number, worker, token, f"late: {what.value}"))

    def _write(
        self, number: int, what: Happened, worker: int | None = None, reason: str | None = None
    ) -> None:
        item = self.items[number]
        self.out.append(
            do.Write(number, item.state, what.value, worker, item.token, item.attempt, item.deaths, reason)
        )
