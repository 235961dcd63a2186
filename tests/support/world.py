"""A small world for the supervisor's judgment: every order is carried out at once, what happens is up to a test.

There are worker processes with a spool and a board each, pipes that lose what was not yet read when a process dies,
a ledger, a server, a relay for the spools of the dead and a writer of error runs. Only the judgment is real.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from evalrunner.protocol.lease import ItemMove, ItemState, move
from evalrunner.protocol.reports import ProducedItem
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.items import Item
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.state import SupervisorState

S, M = ItemState, ItemMove
EMFILE = "OSError(24, 'Too many open files')"
Lease = tuple[int, int]
"""(item, token)"""

#: Which moves a written sentence stands for.
MOVES: dict[str, tuple[ItemMove, ...]] = {
    "leased": (M.LEASE,),
    "produced": (M.PRODUCE,),
    "accepted": (M.ACCEPT,),
    "refused": (M.REFUSE,),
    "lost, to be executed again": (M.LOSE, M.RELEASE),
    "given back": (M.LOSE, M.RELEASE),
    "failed, to be tried in a fresh worker": (M.LOSE, M.RELEASE),
    "given up": (M.LOSE, M.GIVE_UP),
    "error run written": (M.PRODUCE,),
    "visible": (M.SEE,),
    "not visible": (M.MISS,),
    "cancelled": (M.CANCEL,),
    "cut off": (M.CANCEL,),
}


@dataclass
class Process:
    """One worker process; what it says lies in `pipe` until the supervisor reads it."""

    number: int
    slot: int
    concurrency: int
    alive: bool = True
    loaded: bool = False
    closing: bool = False
    acknowledged: bool = False
    queue: deque[Lease] = field(default_factory=deque)
    board: set[Lease] = field(default_factory=set)
    withheld: list[Lease] = field(default_factory=list)
    unsynced: list[Lease] = field(default_factory=list)
    spool: list[Lease] = field(default_factory=list)
    unsent: list[Lease] = field(default_factory=list)
    missing: bool = False
    pipe: deque[ev.Event] = field(default_factory=deque)

    def has(self) -> set[int]:
        """Every item of which this process may still make a run."""
        # One that was told to stop waits for no verdict any more: what it holds back is forgotten.
        waits = [] if self.closing else self.withheld
        return {item for item, _ in {*self.queue, *self.board, *waits, *self.unsynced}}

    def publish(self, leases: list[Lease]) -> None:
        """Let what was held back count."""
        self.withheld = [lease for lease in self.withheld if lease not in leases]
        self.spool += leases
        self.unsynced += leases


class Shell(RuleBasedStateMachine):
    """What carries out orders and writes the ledger: every order is checked where it is carried out."""

    @initialize(
        items=st.integers(1, 8),
        workers=st.integers(1, 4),
        attempts=st.integers(1, 3),
        lanes=st.integers(1, 3),
    )
    def begin(self, items: int, workers: int, attempts: int, lanes: int) -> None:
        self.policy = Policy(workers, attempts, item_timeout=100.0)
        plan = [(number, Item(S.AVAILABLE, attempt=2, token=5)) for number in range(items)]
        self.state = SupervisorState(plan, self.policy, first_token=6)
        self.lanes = lanes
        self.now = 0.0
        self.processes: list[Process] = []
        self.ledger = dict.fromkeys(range(items), S.AVAILABLE)
        self.grants: list[do.Grant] = []
        self.died_with = dict.fromkeys(range(items), 0)
        self.produced: list[int] = []
        self.server: list[Lease] = []
        self.relay: list[Lease] = []
        self.error_runs: list[Lease] = []
        self.lost: list[ev.Event] = []
        self.gave_up_starting = self.aborted = False
        self.executed: set[tuple[int, int]] = set()
        self.failed: set[Lease] = set()
        self.orders: list[do.Instruction] = []
        self.carry_out(self.state.first_workers())

    def take(self, event: ev.Event) -> None:
        self.now += 0.05
        self.orders += self.state.handle(event, self.now)

    def act(self) -> None:
        while self.orders:
            orders, self.orders = self.orders, []
            self.carry_out(orders)

    def happen(self, event: ev.Event) -> None:
        self.take(event)
        self.act()

    def carry_out(self, orders: list[do.Instruction]) -> None:
        for order in orders:
            if isinstance(order, do.Write):
                self.write(order)
        for order in orders:
            if isinstance(order, do.StartWorker):
                self.start(order.slot)
            elif isinstance(order, do.SendLease):
                self.lease(order)
            elif isinstance(order, do.SendTrust):
                self.processes[order.worker].publish([*self.processes[order.worker].withheld])
            elif isinstance(order, (do.SendDrain, do.SendStop, do.SendRetire)):
                self.close(order)
            elif isinstance(order, do.KillWorker):
                self.die(self.processes[order.worker], 0)
            elif isinstance(order, do.WriteErrorRun):
                self.error_runs.append((order.item, order.token))
                self.new_token(do.Grant(order.item, order.token, order.attempt))
            elif isinstance(order, do.Abort):
                self.abort()

    def abort(self) -> None:
        """Nobody could start: only ever before anything was leased."""
        assert self.grants == []
        self.aborted = True
        for process in self.living():
            process.alive = False

    def write(self, order: do.Write) -> None:
        before = self.ledger[order.item]
        for step in MOVES[order.what]:
            if step is M.CANCEL and before is S.LEASED and self.is_dead(order.worker):
                before = move(before, M.LOSE)
            before = move(before, step)
        assert before is order.state
        self.ledger[order.item] = before
        if order.state is S.PRODUCED:
            self.produced.append(order.item)
            assert order.made is not None
        if order.reason == "workers kept dying":
            self.gave_up_starting = True

    def is_dead(self, worker: int | None) -> bool:
        return worker is not None and not self.processes[worker].alive

    def start(self, slot: int) -> None:
        assert slot not in {process.slot for process in self.living()}
        assert not self.state.stopping
        process = Process(len(self.processes), slot, self.lanes)
        self.processes.append(process)
        self.happen(ev.WorkerStarted(process.number, slot))

    def lease(self, order: do.SendLease) -> None:
        process = self.processes[order.worker]
        for grant in order.grants:
            assert self.ledger[grant.item] is S.LEASED  # written first
            self.new_token(grant)
        process.queue.extend((grant.item, grant.token) for grant in order.grants)

    def new_token(self, grant: do.Grant) -> None:
        assert grant.token > max((old.token for old in self.grants), default=5)
        # A run id that an execution has borne is never borne by another.
        assert (grant.item, grant.attempt) not in self.executed
        self.grants.append(grant)

    def close(self, order: do.SendDrain | do.SendStop | do.SendRetire) -> None:
        process = self.processes[order.worker]
        process.closing = True
        if isinstance(order, do.SendDrain) and not process.loaded:
            assert self.state.stopping or not any(each.has() for each in self.living())
        elif isinstance(order, do.SendDrain):
            assert not any(each.has() for each in self.living())
        else:
            process.queue.clear()
            process.withheld.clear()

    # -- processes and their ends --------------------------------------------------------------------

    def made(self, lease: Lease) -> ProducedItem:
        item, token = lease
        error = EMFILE if lease in self.failed else None
        return ProducedItem(item, token, [f"{item}-{token}"], [], [], error, [], 0.1)

    def living(self) -> list[Process]:
        return [process for process in self.processes if process.alive]

    def leave(self, process: Process) -> None:
        """It is gone; where less was heard than it acknowledged, its spool is read."""
        process.alive = False
        while process.pipe:
            self.happen(process.pipe.popleft())
        self.forget(process)
        spooled = tuple(self.made(lease) for lease in process.spool) if process.missing else ()
        self.happen(ev.WorkerGone(process.number, "exited with status 0", spooled=spooled))
        self.send_on(process)

    def die(self, process: Process, heard: int) -> None:
        """It dies; `heard` messages were in the pipe already, the others come late or never."""
        process.alive = False
        while process.pipe and heard:
            heard -= 1
            event = process.pipe.popleft()
            self.happen(event)
            if isinstance(event, ev.Acknowledged):
                self.leave(process)
                return
        self.lost += [event for event in process.pipe if isinstance(event, ev.Reported)]
        process.queue.clear()
        process.unsynced.clear()
        self.forget(process)
        for item, _ in process.board - set(process.spool):
            self.died_with[item] += 1
        suspects, process.board = {item for item, _ in process.board}, set()
        spooled = tuple(self.made(lease) for lease in process.spool)
        self.happen(ev.WorkerGone(process.number, "was killed", frozenset(suspects), spooled))
        self.send_on(process)

    def forget(self, process: Process) -> None:
        """What it held back, and nobody was told of, was never durable: no run bears these ids."""
        reports = [event.report for event in self.lost if isinstance(event, ev.Reported)]
        untold = {(item, token) for report in reports for item, token, _ in report.withheld}
        for lease in untold.intersection(process.withheld):
            self.executed -= {(g.item, g.attempt) for g in self.grants if (g.item, g.token) == lease}
        process.withheld.clear()

    def send_on(self, process: Process) -> None:
        for item, token in process.spool:
            current = self.state.items[item]
            if current.token == token and current.state in (S.PRODUCED, S.NOT_DELIVERED, S.ACCEPTED):
                self.relay.append((item, token))
