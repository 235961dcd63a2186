"""The sender's judgment in one thread: time is a number, the service a function, and the order a seed's."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from evalrunner.delivery.sending.machine import Accepted, Note, Refused, Send, SendMachine, Told
from evalrunner.delivery.sending.queue import SendQueue
from evalrunner.delivery.sending.reply import Reply
from evalrunner.delivery.sending.retry import Verdict
from evalrunner.delivery.spool.record import Header, Op
from evalrunner.delivery.spool.writer import Entry

TAKEN = Reply(Verdict.ACCEPTED, "")
AWAY = Reply(Verdict.UNAVAILABLE, "server answers 503")


def record(seq: int, ops: int = 1) -> Entry:
    return Entry(seq, 0, 10, Header(seq, 1, {}, tuple(Op("post", f"{seq}-{at}", at, 1) for at in range(ops))))


@dataclass
class World:
    """A machine, the time, and what it has told."""

    now: float = 100.0
    accepted: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queue = SendQueue(max_bytes=1000, max_ops=6, linger=1.0)
        self.machine = SendMachine(self.queue, deadline=60.0, probe_interval=5.0, rng=random.Random(3))

    def offer(self, *entries: Entry) -> None:
        self.queue.offer(entries, self.now)

    def next(self) -> Send | None:
        """Return what is to be sent, letting the time pass until there is something; None: there never will be."""
        while True:
            step, told = self.machine.next(self.now)
            self.hear(told)
            if isinstance(step, Send):
                return step
            if not told and step.until is None:
                return None
            self.now = max(self.now, step.until or 0.0)

    def answer(self, send: Send, reply: Reply, seconds: float = 0.5) -> None:
        self.now += seconds
        self.hear(self.machine.answered(send, reply, self.now))

    def hear(self, told: list[Told]) -> None:
        for one in told:
            if isinstance(one, Accepted):
                self.accepted += [entry.seq for entry in one.entries]
                self.queue.settle(one.entries)
            elif isinstance(one, Refused):
                self.refused[one.entry.seq] = one.why
                self.queue.settle([one.entry])
            elif isinstance(one, Note):
                self.notes.append(one.text)


def test_the_first_record_of_a_batch_waits_for_company_and_a_full_batch_does_not() -> None:
    world = World()
    world.offer(record(1))
    assert world.machine.next(100.0)[0] == world.machine.next(100.9)[0]
    send = world.next()
    assert send is not None
    assert world.now == 101.0
    world.answer(send, TAKEN)
    world.offer(*(record(seq) for seq in range(2, 8)))
    before = world.now
    send = world.next()
    assert send is not None
    assert (len(send.batch.entries), world.now) == (6, before)


def test_nothing_is_sent_while_it_backs_off_whatever_is_offered() -> None:
    world = World()
    world.offer(record(1))
    send = world.next()
    assert send is not None
    world.answer(send, Reply(Verdict.UNAUTHORIZED, "server answers 401"))
    failed = world.now
    world.offer(record(2))
    world.queue.flush()
    again = world.next()
    assert again is not None
    assert world.now == failed + 5.0
    assert world.notes == ["server answers 401; traces are kept, and one try is made every 5 s"]


def test_a_request_lasts_no_longer_than_what_is_left_of_the_deadline() -> None:
    world = World()
    world.offer(record(1))
    limits = []
    while (send := world.next()) is not None:
        limits.append(send.limit)
        world.answer(send, AWAY, seconds=min(20.0, send.limit))
    assert limits[0] == 60.0
    assert limits == sorted(limits, reverse=True)
    assert world.refused == {1: "not delivered within 60 s: server answers 503"}


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_service_does_every_record_ends_once(seed: int) -> None:
    lot, world = random.Random(seed), World()
    waiting = [record(seq, lot.choice([0, 1, 1, 2, 3])) for seq in range(1, 31)]
    verdicts = [v for v in Verdict if v is not Verdict.CONFLICT]
    for _ in range(2000):
        if waiting and lot.random() < 0.3:
            world.offer(waiting.pop(0))
        send = world.next()
        if send is None:
            if not waiting:
                break
            continue
        lucky = lot.random() < 0.6
        verdict = Verdict.ACCEPTED if lucky else lot.choice(verdicts)
        world.answer(send, Reply(verdict, "words"), lot.random() * 3)
    assert sorted([*world.accepted, *world.refused]) == list(range(1, 31))
    assert not world.queue.pending


def test_what_comes_after_the_deadline_is_told_that_it_had_one_try() -> None:
    world = World()
    world.offer(record(1))
    while (send := world.next()) is not None:
        world.answer(send, AWAY, seconds=min(20.0, send.limit))
    world.offer(record(2))
    send = world.next()
    assert send is not None
    world.answer(send, AWAY)
    once = " (the deadline had passed before it; it was tried once)"
    assert world.refused == {
        1: "not delivered within 60 s: server answers 503",
        2: f"not delivered within 60 s: server answers 503{once}",
    }
