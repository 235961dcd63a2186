"""Waiting for many workers: a look costs what has happened; whoever lies about his end is asked instead."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from evalrunner.engines.waiting import FALSE_ALARMS, Waiter


@dataclass(eq=False)
class Worker:
    """Two pipes, and an end that a test decides on."""

    said: tuple[int, int] = field(default_factory=os.pipe)
    life: tuple[int, int] = field(default_factory=os.pipe)
    code: int | None = None
    asked: int = 0
    rings_at_its_end: bool = True

    @property
    def channel(self) -> int:
        return self.said[0]

    @property
    def sentinel(self) -> int:
        return self.life[0]

    def exitcode(self) -> int | None:
        self.asked += 1
        return self.code

    def say(self) -> None:
        os.write(self.said[1], b".")

    def listen(self) -> None:
        os.read(self.channel, 1)

    def ring(self, code: int | None) -> None:
        """Have the sentinel ring, and what is then found out."""
        os.write(self.life[1], b".")
        self.code = code


class Room:
    """A waiter and its workers."""

    def __init__(self) -> None:
        self.waiter: Waiter[Worker] = Waiter()
        self.workers: list[Worker] = []

    def add(self, count: int) -> list[Worker]:
        more = [Worker() for _ in range(count)]
        for worker in more:
            self.waiter.add(worker)
        self.workers += more
        return more

    def close(self) -> None:
        self.waiter.close()
        for worker in self.workers:
            for fd in (*worker.said, *worker.life):
                os.close(fd)


@pytest.fixture
def room() -> Iterator[Room]:
    one = Room()
    yield one
    one.close()


def test_nobody_is_returned_when_nothing_happens(room: Room) -> None:
    assert room.waiter.wait(0.0) == []
    room.add(3)
    assert room.waiter.wait(0.01) == []


def test_only_those_to_whom_something_has_happened_are_asked_anything(room: Room) -> None:
    workers = room.add(100)
    workers[3].say()
    workers[5].ring(0)
    assert set(room.waiter.wait(1.0)) == {workers[3], workers[5]}
    workers[3].listen()
    assert room.waiter.wait(1.0) == [workers[5]], "an end is told until it is heeded"
    assert [worker.asked for worker in workers] == [0] * 5 + [2] + [0] * 94


def test_one_that_has_spoken_and_ended_is_returned_once(room: Room) -> None:
    (worker,) = room.add(1)
    worker.say()
    worker.ring(1)
    assert room.waiter.wait(1.0) == [worker]


def test_whoever_is_removed_is_not_waited_for_and_his_descriptors_may_be_another_s(room: Room) -> None:
    worker, other = room.add(2)
    worker.say()
    worker.ring(0)
    room.waiter.remove(worker)
    room.waiter.remove(worker)  # once more does no harm
    assert room.waiter.wait(0.0) == []
    assert room.waiter.workers == [other]
    room.waiter.add(worker)
    assert room.waiter.wait(0.0) == [worker]


def test_a_sentinel_that_rings_for_a_moment_before_the_end_is_seen_is_believed(room: Room) -> None:
    (worker,) = room.add(1)
    worker.ring(None)
    for _ in range(FALSE_ALARMS - 1):
        assert room.waiter.wait(1.0) == []
    worker.code = -9
    assert room.waiter.wait(1.0) == [worker]


def test_one_whose_sentinel_lies_is_asked_at_every_look_and_his_words_are_heard(room: Room) -> None:
    worker, other = room.add(2)
    worker.ring(None)
    for _ in range(FALSE_ALARMS):
        assert room.waiter.wait(1.0) == []
    before, began = worker.asked, time.monotonic()
    assert room.waiter.wait(0.05) == []
    assert worker.asked == before + 1
    assert time.monotonic() - began >= 0.05, "it rings no more, or this would go in a circle"
    worker.say()
    assert room.waiter.wait(1.0) == [worker]
    worker.listen()
    worker.code = 0
    assert room.waiter.wait(0.0) == [worker]
    room.waiter.remove(worker)
    assert room.waiter.wait(0.0) == []
    assert other.asked == 0


def test_one_whose_sentinel_may_not_ring_is_asked_at_every_look(room: Room) -> None:
    (sure,) = room.add(1)
    unsure = Worker(rings_at_its_end=False)
    room.waiter.add(unsure)
    room.workers.append(unsure)
    assert room.waiter.wait(0) == []
    unsure.code = 0  # and nothing rings
    assert room.waiter.wait(0) == [unsure]
    assert sure.asked == 0
    room.waiter.remove(unsure)
    assert room.waiter.wait(0) == []
