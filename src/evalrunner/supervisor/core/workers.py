"""What the supervisor knows: its workers, beside the book of items, where each is, and what may be asked. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from evalrunner.protocol.worker import WorkerState, check
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.durations import Durations
from evalrunner.supervisor.core.items import Item, ItemBook
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.trials import Standing, Trials

W = WorkerState
#: Where a worker may be given items.
ABLE = (W.READY, W.BUSY)
#: Pauses that are remembered.
PAUSES = 100


@dataclass(slots=True)
class Worker:
    """One worker process."""

    slot: int
    state: WorkerState = W.STARTING
    concurrency: int = 1
    held: set[int] = field(default_factory=set)
    started: dict[int, float] = field(default_factory=dict)
    done: int = 0
    rate: float = 0.0
    counted_at: float = 0.0
    note: str = ""
    born: float = 0.0
    why_not: str = ""
    dismissed: bool = False
    sets_up: bool = False
    let_go: bool = False
    looks: int = 0
    ending_since: float = 0.0
    standing: Standing = field(default_factory=Standing)


class Knowledge:
    """What is known of items and workers, for all that decide.

    Args:
        items: the plan; those that are AVAILABLE will be executed, in this order.
        policy: the rules.
        first_token: tokens of this run start here; higher than any that an earlier run gave.
    """

    def __init__(self, items: Iterable[tuple[int, Item]], policy: Policy, first_token: int = 1) -> None:
        self._book = ItemBook(items, policy.max_attempts, first_token)
        self._trials = Trials(self._book)
        self.items = self._book.items
        self.ready = self._book.ready
        self.policy = policy
        self.workers: dict[int, Worker] = {}
        self.planned = len(self.ready)
        self.restarts = 0
        self.stopping = False
        self._begun = False
        #: Kept up as they move, so that an event costs nothing for the workers that it is not about.
        self._able: set[int] = set()
        self._loading: dict[int, None] = {}
        self._living = self._held = 0
        #: At the last dispatch: items that nobody had, and workers that shared them.
        self._offered, self._sharing = -1, 0
        self._futile = 0
        self._coming = 0
        self._durations = Durations(policy.assumed)
        #: When each ended (monotonic seconds), and how long it was.
        self._pauses: deque[tuple[float, float]] = deque(maxlen=PAUSES)
        self._out = self._book.out
        self._now = 0.0

    # -- what others ask -----------------------------------------------------------------------------

    @property
    def executing(self) -> bool:
        """Whether some item still has to be executed or is being executed."""
        return bool(self._book.pending or self._held)

    @property
    def out_of_time(self) -> bool:
        """Whether what has still to be begun would not end in time."""
        return self._begun and not self.stopping and self._book.pending > 0 and not self._fits()

    def living(self) -> list[int]:
        """Return the workers that are not known dead."""
        return [number for number, w in self.workers.items() if w.state not in (W.EXITED, W.LOST)]

    def set_up(self) -> list[int]:
        """Return the workers in which something has been set up, or is being, that may have to be taken down."""
        return [number for number in self.living() if self.workers[number].sets_up]

    def slowest(self) -> tuple[int, int, float] | None:
        """Return (slot, item, since when) of the item that has been executed for the longest, if any is."""
        running = [(since, w.slot, item) for w in self.workers.values() for item, since in w.started.items()]
        since, slot, item = min(running, default=(0.0, -1, -1))
        return (slot, item, since) if running else None

    def loading(self) -> tuple[int, float] | None:
        """Return (slot, since when) of the worker that has been loading for the longest, if any is."""
        loading = [(w.born, w.slot) for w in self.workers.values() if w.state is W.STARTING]
        return min(((slot, since) for since, slot in loading), key=lambda pair: pair[1], default=None)

    def _fits(self) -> bool:
        """Whether what is begun now usually ends in time."""
        return self._durations.fit(self.policy.items_end - self._now)

    def _lasted(self, since: float) -> float:
        """Return the seconds since then, without those for which the whole job stood still."""
        return self._now - since - sum(seconds for at, seconds in self._pauses if at > since)

    # -- where each is -------------------------------------------------------------------------------

    def _place(self, number: int) -> None:
        """Note where a worker is, after every move of it."""
        worker = self.workers[number]
        if worker.state in ABLE:
            self._able.add(number)
        else:
            self._able.discard(number)
        if worker.state is W.STARTING and not worker.dismissed:
            self._loading[number] = None
        else:
            self._loading.pop(number, None)

    def _dismiss(self, number: int) -> None:
        self.workers[number].dismissed = True
        self._place(number)

    def _let_go(self, number: int) -> None:
        """Send one home that still loads (or hangs there); whatever has been set up by then, it may take down."""
        worker = self.workers[number]
        worker.let_go = True
        worker.ending_since = self._now
        self._move(number, W.DRAINING)
        if self._begun:
            self._out.append(do.SendBegin(number))
        self._out.append(do.SendDrain(number))

    def _move(self, number: int, state: WorkerState) -> None:
        worker = self.workers[number]
        worker.state = check(worker.state, state)
        self._place(number)

    def _distrust(self, number: int, why: str) -> None:
        """End a worker whose words cannot be its own: something in its process writes into our pipe."""
        worker = self.workers[number]
        if not worker.dismissed:
            self._dismiss(number)
            self._out.append(do.KillWorker(number, f"was killed: {why}"))
