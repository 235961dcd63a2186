"""Carrying out what was decided: the ledger first, then everything else, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.messages import Message
from evalrunner.protocol.orders import Begin, Drain, Lease, Retire, Stop, Trust
from evalrunner.protocol.reports import ProducedItem
from evalrunner.supervisor.core import instructions as do
from evalrunner.supervisor.shell.executor import Executor
from evalrunner.supervisor.shell.snapshots import ProgressCounter
from tests.support.scripts import Diligent
from tests.support.shell import Run

S = ItemState


class Desk:
    """An executor over one worker, and what it has been told."""

    def __init__(self, folder: Path) -> None:
        self.run = Run(folder, items=3, workers=1)
        self.context = self.run.context
        self.started: list[tuple[int, int]] = []
        self.aborted: list[str] = []
        self.progress = ProgressCounter(0, 0.0)
        self.executor = Executor(
            self.context,
            self.progress,
            1,
            started=lambda number, slot: self.started.append((number, slot)),
            aborted=self.aborted.append,
        )

    def begin(self) -> Desk:
        """Start a worker, and make the experiment."""
        self.executor.carry_out([do.StartWorker(0)])
        self.context.course.scope = self.run._begin({})
        return self

    def carry_out(self, *orders: do.Instruction) -> None:
        self.executor.carry_out(list(orders))

    def told(self) -> list[Message]:
        self.run.engine.wait(0.05)
        script = self.run.engine.workers[1].script
        assert isinstance(script, Diligent)
        return script.told_of

    def lease(self, item: int, token: int, attempt: int = 1, **facts: bool) -> list[do.Instruction]:
        return [
            do.Write(item, S.LEASED, "leased", 1, token, attempt, 0),
            do.SendLease(1, (do.Grant(item, token, attempt, **facts),)),
        ]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    yield one
    one.run.close()


def made(item: int, token: int = 1) -> ProducedItem:
    return ProducedItem(item, token, [f"run-{item}", f"child-{item}"], [], [f"score-{item}"], None, [], 0.1)


def test_a_worker_that_is_started_stands_in_the_ledger_with_what_names_its_process(desk: Desk) -> None:
    desk.carry_out(do.StartWorker(0))
    assert desk.started == [(1, 0)]
    (row,) = desk.run.ledger.workers()
    worker = desk.run.engine.workers[1]
    assert (row.worker, row.slot, row.pid, row.create_time, row.ended) == (
        1,
        0,
        worker.pid,
        worker.born,
        None,
    )
    assert worker.order.env["EVALRUNNER_WORKER_ID"] == "0"
    assert worker.order.log == desk.run.folder.logs / "worker-0.log"


def test_numbers_of_workers_go_on_where_an_earlier_run_ended(desk: Desk) -> None:
    desk.carry_out(do.StartWorker(0))
    later = Executor(
        desk.context, desk.progress, 1, started=lambda number, _: desk.started.append((number, 9)),
        aborted=desk.aborted.append,
    )  # fmt: skip
    later.carry_out([do.StartWorker(0)])
    assert desk.started[-1] == (2, 9)
    assert len({row.spool for row in desk.run.ledger.workers()}) == 2


def test_nothing_is_done_when_the_ledger_cannot_be_written(desk: Desk) -> None:
    desk.begin()
    desk.run.ledger.close()
    with pytest.raises(Exception, match="closed"):
        desk.carry_out(*desk.lease(1, token=1))
    assert desk.told() == [], "the worker must not hear of a lease that no ledger has"


def test_all_writes_are_committed_before_the_first_order_goes_out(desk: Desk) -> None:
    desk.begin()
    seen: list[ItemState] = []
    send = desk.context.pool.send

    def look(number: int, message: Message) -> None:
        seen.extend(row.state for row in desk.run.ledger.items())
        send(number, message)

    desk.context.pool.send = look  # type: ignore[method-assign]
    first, second = desk.lease(1, token=1), desk.lease(2, token=2)
    desk.carry_out(first[0], first[1], second[0], second[1])
    assert seen == 2 * [S.LEASED, S.LEASED, S.AVAILABLE]


def test_a_lease_says_all_that_an_execution_needs(desk: Desk) -> None:
    desk.begin()
    desk.carry_out(*desk.lease(2, token=7, attempt=2, final=True))
    (lease,) = desk.told()
    assert isinstance(lease, Lease)
    (leased,) = lease.items
    assert (leased.item, leased.token, leased.attempt, leased.repetition, leased.final) == (2, 7, 2, 0, True)
    assert leased.example["id"] == desk.run.examples[1]
    assert leased.example["inputs"] == {"x": 1}
    assert leased.evaluators is None
    desk.carry_out(*desk.lease(2, token=8, attempt=3))
    again = desk.told()[-1]
    assert isinstance(again, Lease)
    assert again.items[0].run_id != leased.run_id, "no run id is borne twice"


def test_a_worker_is_told_where_everything_is(desk: Desk) -> None:
    desk.begin().carry_out(do.SendBegin(1))
    (begin,) = desk.told()
    assert isinstance(begin, Begin)
    assert begin.experiment["id"] == str(desk.context.scope.experiment_id)
    assert begin.spool == str(desk.run.folder.spool / "000001.spool")
    assert begin.board == str(desk.run.folder.boards / "000001.board")


def test_one_that_died_before_it_was_told_is_told_nothing(desk: Desk) -> None:
    desk.begin()
    desk.context.pool.kill(1, "was killed: why")
    desk.context.pool.wait(1.0)
    desk.context.pool.reap(1)
    desk.carry_out(do.SendBegin(1), do.SendDrain(1), do.KillWorker(1, "was killed: late"))
    assert desk.told() == []


def test_orders_go_out_in_order(desk: Desk) -> None:
    sent: list[Message] = []

    def send(number: int, message: Message) -> None:
        sent.append(message)

    desk.begin().context.pool.send = send  # type: ignore[method-assign]
    desk.carry_out(do.SendTrust(1, ("OSError",)), do.SendRetire(1), do.SendStop(1), do.SendDrain(1))
    assert sent == [Trust(["OSError"]), Retire(), Stop(), Drain()]


def test_what_was_produced_is_written_and_looked_for_when_it_is_accepted(desk: Desk) -> None:
    desk.begin().carry_out(*desk.lease(1, token=1))
    desk.run.confirmer.hidden = {1}
    desk.carry_out(do.Write(1, S.PRODUCED, "produced", 1, 1, made=made(1)))
    assert desk.run.confirmer.waiting == 0
    desk.carry_out(do.Write(1, S.ACCEPTED, "accepted", 1, 1))
    assert desk.run.confirmer.wanted[1].runs == ("run-1", "child-1")
    assert desk.run.confirmer.wanted[1].feedback == ("score-1",)
    assert desk.run.states()[0] is S.ACCEPTED
    assert (desk.progress.produced, desk.progress.accepted) == (1, 1)


def test_a_segment_is_let_go_when_the_ledger_says_that_its_items_are_visible(desk: Desk) -> None:
    desk.begin().carry_out(*desk.lease(1, token=1))
    spool = desk.run.folder.spool / "000001.spool"
    spool.write_bytes(b"")
    desk.context.reclaimer.heard_of(1, 1, 1)
    desk.carry_out(do.Write(1, S.PRODUCED, "produced", 1, 1, made=made(1)))
    desk.context.reclaimer.heard_of(1, 2, 2)
    desk.carry_out(do.Write(1, S.ACCEPTED, "accepted", 1, 1))
    assert spool.exists()
    desk.carry_out(do.Write(1, S.VISIBLE, "visible", None, 1))
    assert not spool.exists()


def test_an_item_that_nobody_survived_gets_its_error_run(desk: Desk) -> None:
    desk.begin().carry_out(do.WriteErrorRun(3, 5, 2, "2 workers died while they executed it"))
    assert desk.run.error_runs.written == {3: "2 workers died while they executed it"}


def test_what_is_to_be_said_is_said_and_what_is_to_be_warned_of_is_kept(desk: Desk) -> None:
    desk.carry_out(do.Say("worker 0 died"), do.Warn("worker 0 was replaced"), do.Abort("no GPU"))
    assert desk.run.observer.lines == ["worker 0 died", "worker 0 was replaced"]
    assert [found.text for found in desk.context.course.findings] == ["worker 0 was replaced"]
    assert desk.aborted == ["no GPU"]
