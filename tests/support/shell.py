"""A whole run of the supervisor in one thread: the real loop, executor, pool and ledger over scripted workers.

What would wait for a service (confirmer, relay, error runs, watch) answers at once, in the order of the questions.
"""

from __future__ import annotations

import math
import queue
import signal
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
from langsmith.schemas import TracerSession

from evalrunner.clock import ManualClock
from evalrunner.config import Endpoint, RunConfig, TargetSpec, WorkerConfig
from evalrunner.delivery.spool.openings import item_of
from evalrunner.delivery.spool.writer import Entry, read
from evalrunner.engines.scripted import Script, ScriptedEngine
from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import ProducedItem
from evalrunner.protocol.worker import WorkerOrder
from evalrunner.supervisor.core import events as ev
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.core.items import Item
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.state import SupervisorState
from evalrunner.supervisor.setup.claim import Claim
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.link import Link
from evalrunner.supervisor.setup.owner import Owner
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.supervisor.shell.confirm import Confirmer, Wanted
from evalrunner.supervisor.shell.context import RunContext
from evalrunner.supervisor.shell.course import Course
from evalrunner.supervisor.shell.error_runs import ErrorRuns
from evalrunner.supervisor.shell.loop import Supervisor
from evalrunner.supervisor.shell.loose import LooseBook
from evalrunner.supervisor.shell.pool import WorkerPool
from evalrunner.supervisor.shell.progress import Snapshot
from evalrunner.supervisor.shell.reclaim import Reclaimer
from evalrunner.supervisor.shell.relay import Relay
from evalrunner.supervisor.shell.signals import Stops
from evalrunner.supervisor.shell.snapshots import ProgressCounter
from evalrunner.supervisor.shell.watch import Watch
from tests.support.scripts import Diligent

ENDPOINT = Endpoint("http://127.0.0.1:9", "key")
BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)
ME = Owner.myself(Path(), BEGAN, {})


class Watcher:
    """An observer that remembers, and does what a test wants to happen between two looks."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.views: list[Snapshot] = []
        self.then: Callable[[], None] = lambda: None

    def snapshot(self, view: Snapshot) -> None:
        self.views.append(view)
        self.then()

    def line(self, text: str) -> None:
        self.lines.append(text)


class SeesAtOnce:
    """A confirmer to which everything has come back when it asks, but for what is hidden."""

    def __init__(self, post: Callable[[ev.Event], None]) -> None:
        self._post = post
        self.hidden: set[int] = set()
        self.wanted: dict[int, Wanted] = {}

    def want(self, items: dict[int, Wanted]) -> None:
        self.wanted.update({item: each for item, each in items.items() if item in self.hidden})
        if seen := tuple(item for item in items if item not in self.hidden):
            self._post(ev.Seen(seen))

    def hurry(self) -> None:
        """It is in no doubt."""

    @property
    def waiting(self) -> int:
        return len(self.wanted)

    def missed(self) -> ev.Missed:
        return ev.Missed(dict.fromkeys(self.wanted, "it does not come back"))


class SendsAtOnce:
    """A relay whose service takes everything."""

    busy = False

    def __init__(self, post: Callable[[ev.Event], None]) -> None:
        self._post = post
        self.sent: list[tuple[int, int]] = []

    def take(self, path: Path, wanted: Callable[[Entry], bool]) -> int:
        leases = [item_of(entry.header) for entry in read(path).entries if wanted(entry)]
        self.sent += (taken := [lease for lease in leases if lease is not None])
        self._post(ev.SentOn(accepted=tuple(taken)))
        return len(leases)


class WritesAtOnce:
    """Error runs, durable and accepted when they are written."""

    busy = False

    def __init__(self, post: Callable[[ev.Event], None]) -> None:
        self._post = post
        self.written: dict[int, str] = {}

    def write(self, order: do.WriteErrorRun, example: dict[str, Any], repetition: int, scope: Scope) -> None:
        self.written[order.item] = order.reason
        made = ProducedItem(order.item, order.token, [str(uuid.uuid4())], [], [], order.reason, [], 0.0)
        self._post(ev.ErrorRunWritten(made))
        self._post(ev.SentOn(accepted=((order.item, order.token),)))


class Asked(Stops):
    """What a test asks for, and what the loop asks for itself."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.config.drain_timeout, clock=run.clock)
        self._run = run
        self._known = 0

    def __call__(self) -> int:
        while self._known < self._run.asked_to_stop():
            self._known += 1
            self.hear(signal.SIGINT)
        return super().__call__()


class Looks:
    """A watch that sees nothing happen."""

    begun = 0

    def begin(self, scope: Scope) -> None:
        self.begun += 1


class Run:
    """One run.

    Args:
        script: what the worker of an order does.
        latency: seconds from a worker to the supervisor and back.
        items_end: by the run's clock, which begins at 1000.
        config: fields of RunConfig; `item_timeout` is the workers'.
    """

    def __init__(
        self,
        folder: Path,
        script: Callable[[WorkerOrder], Script] = lambda _: Diligent(),
        *,
        items: int = 6,
        workers: int = 2,
        latency: float = 0.01,
        item_timeout: float | None = None,
        items_end: float = math.inf,
        **config: Any,
    ) -> None:
        self.clock = ManualClock()
        self.engine = ScriptedEngine(script, self.clock, latency)
        self.observer = Watcher()
        self.asked_to_stop: Callable[[], int] = lambda: 0
        self.folder = RunFolder(folder / "run")
        self.ledger = Ledger(self.folder.ledger)
        self.config = RunConfig(
            TargetSpec(target="target.py:target"),
            workers=workers,
            worker=WorkerConfig(item_timeout=item_timeout, grace=0.0),
            **config,
        )
        self._plan(items)
        self.context = self._context()
        policy = Policy(
            workers,
            self.config.max_attempts,
            item_timeout,
            setup_timeout=self.config.setup_timeout,
            items_end=items_end,
        )
        available = [(row.item, Item(row.state)) for row in self.ledger.items()]
        self.state = SupervisorState(available, policy)
        self.stops = Asked(self)
        self.supervisor = Supervisor(
            self.context,
            self.state,
            ProgressCounter(0, self.clock.monotonic()),
            self._begin,
            self.stops,
        )

    def _plan(self, items: int) -> None:
        self.examples = [str(uuid.UUID(int=number)) for number in range(items)]
        with self.ledger.transaction():
            body = {"dataset_id": str(uuid.UUID(int=1)), "inputs": {"x": 1}}
            self.ledger.put_examples((each, orjson.dumps({"id": each, **body})) for each in self.examples)
            self.ledger.add_items((each, 0) for each in self.examples)
            self.session = self.ledger.begin_session(BEGAN.isoformat())

    def _context(self) -> RunContext:
        events = queue.SimpleQueue[ev.Event]()
        self.confirmer, self.relay = SeesAtOnce(events.put), SendsAtOnce(events.put)
        self.error_runs, self.watch = WritesAtOnce(events.put), Looks()
        scope = Scope(None, uuid.UUID(int=9), "x", BEGAN, uuid.UUID(int=1), "d", 1, (), None, None)
        return RunContext(
            self.config, cast(Link, SimpleNamespace(endpoint=ENDPOINT, info={})), self.folder, self.ledger,
            self.session, self.observer, self.clock, Course(scope), events,
            claim=Claim(scope.experiment_id, ME, self.clock),
            pool=WorkerPool(self.engine, self.clock),
            watch=cast(Watch, self.watch),
            confirmer=cast(Confirmer, self.confirmer),
            relay=cast(Relay, self.relay),
            error_runs=cast(ErrorRuns, self.error_runs),
            loose=LooseBook(self.ledger, self.session),
            reclaimer=Reclaimer(self.folder.spool, keep=False),
        )  # fmt: skip

    def _begin(self, guessed: dict[str, list[str]]) -> Scope:
        scope = self.context.scope
        session = TracerSession(
            id=scope.experiment_id, start_time=BEGAN, name="x", tenant_id=uuid.UUID(int=2),
            reference_dataset_id=scope.dataset_id,
        )  # fmt: skip
        return Scope(**{**vars(scope), "session": session})

    # -- what became of it ---------------------------------------------------------------------------

    def run(self) -> Run:
        self.supervisor.run()
        return self

    def states(self) -> list[ItemState]:
        return [row.state for row in self.ledger.items()]

    def executions(self) -> list[int]:
        """How often each item was executed, by whatever worker."""
        scripts = [worker.script for worker in self.engine.workers.values()]
        begun = Counter(item for script in scripts if isinstance(script, Diligent) for item in script.begun)
        return [begun[row.item] for row in self.ledger.items()]

    def ends(self) -> list[str | None]:
        """How each worker ended, as the ledger has it."""
        return [row.ended for row in self.ledger.workers()]

    def scripts(self) -> Iterable[Script]:
        return [worker.script for worker in self.engine.workers.values()]

    def close(self) -> None:
        self.ledger.close()
        self.folder.close()


@contextmanager
def a_run(folder: Path, *args: Any, **facts: Any) -> Iterator[Run]:
    """A run whose files are closed in the end."""
    one = Run(folder, *args, **facts)
    try:
        yield one
    finally:
        one.close()


#: Makes a run, as `Run` does, over the folder of a test.
Start = Callable[..., Run]


@contextmanager
def runs_in(folder: Path) -> Iterator[Start]:
    """Make runs; nothing of them is left open."""
    with ExitStack() as stack:
        yield lambda *args, **facts: stack.enter_context(a_run(folder, *args, **facts))
