"""The sender against a simple service: whatever that answers, every record ends exactly once, and truthfully."""

from __future__ import annotations

import errno
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from evalrunner.delivery.sending.sender import Sender
from evalrunner.delivery.sending.transport import Answer
from evalrunner.delivery.spool.record import Header, Op
from evalrunner.delivery.spool.writer import Entry
from evalrunner.errors import TransportError
from tests.support.listener import Hears

#: What the service may do with a request, whoever sent it: a status, or no answer before or after the commit.
MOODS: tuple[str | int, ...] = ("ok", "cut before", "cut after", "hang", 401, 408, 429, 500, 503)
#: What it does for ever with a request that carries a certain record.
POISONS: tuple[str | int, ...] = (400, 422, 500, 502, 503, "cut before", "hang")
DEADLINE = 400.0
LARGEST = 5000


class FakeClock:
    """Seconds that pass only while a request is under way."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def utcnow(self) -> datetime:
        return datetime.fromtimestamp(self.now, timezone.utc)


class NoDelay(random.Random):
    """Scatters every delay down to nothing."""

    def uniform(self, a: float, b: float) -> float:
        return 0.0


@dataclass
class Service:
    """Keeps operations by name, as LangSmith does: a name can be created once.

    Attributes:
        script: what it does with the first requests.
        poison: record -> what it does with every request that carries a part of it.
        batch: a conflict refuses the whole request; else what is new in it is kept.
        stuck: it never recovers from its script's last word.
    """

    clock: FakeClock
    script: list[str | int]
    poison: dict[int, str | int] = field(default_factory=dict)
    batch: bool = False
    stuck: bool = False
    kept: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    def post_multipart(self, body: bytes, boundary: str, *, compress: bool, limit: float) -> Answer:
        names = [word.rstrip(".") for word in body.decode().split("|")[:-1]]
        self.requests += 1
        mood = self._mood({int(name.split("-")[0]) for name in names})
        self.clock.now += min(limit, 30.0) if mood == "hang" else min(limit, 0.5)
        if mood in ("cut before", "hang"):
            raise TransportError("no answer")
        if isinstance(mood, int):
            return Answer(mood, 5.0 if mood == 429 else None, "")
        answer = self._take(names, len(body))
        if mood == "cut after":
            raise TransportError("no answer")
        return answer

    def _mood(self, records: set[int]) -> str | int:
        mood: str | int = "ok"
        if self.script:
            mood = self.script[0] if self.stuck and len(self.script) == 1 else self.script.pop(0)
        poison = (self.poison[one] for one in sorted(records) if one in self.poison)
        return next(poison, mood) if mood in ("ok", "cut after") else mood

    def _take(self, names: Sequence[str], size: int) -> Answer:
        if size > LARGEST:
            return Answer(413, None, "")
        new = [name for name in names if not self.kept[name]]
        if len(new) < len(names) and (self.batch or not new):
            return Answer(409, None, "")
        self.kept.update(new)
        return Answer(202, None, "")


@dataclass
class World:
    """One record per list of sizes, a sender that puts `most` operations into a request, and what it said."""

    service: Service
    sizes: Sequence[Sequence[int]]
    most: int = 6
    accepted: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    untrue: list[int] = field(default_factory=list)
    on_any: Callable[[int], None] = lambda number: None
    unreadable: dict[int, list[Exception]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bodies: dict[int, bytes] = {}
        self.entries = [self._entry(seq, sizes) for seq, sizes in enumerate(self.sizes, 1)]
        self.sender = Sender(
            self.service,
            self._read,
            "b",
            Hears(self._on_accepted, self._on_refused),
            clock=self.service.clock,
            max_batch_ops=self.most,
            linger=0.0,
            deadline=DEADLINE,
            probe_interval=0.0,
            rng=NoDelay(7),
        )

    def _read(self, entry: Entry) -> bytes:
        if errors := self.unreadable.get(entry.seq):
            raise errors.pop(0)
        return self.bodies[entry.seq]

    def _entry(self, seq: int, sizes: Sequence[int]) -> Entry:
        parts = [f"{seq}-{at}".ljust(size, ".") + "|" for at, size in enumerate(sizes)]
        offsets = [sum(map(len, parts[:at])) for at in range(len(parts))]
        ops = tuple(
            Op("post", f"{seq}-{at}", offset, len(part))
            for at, (offset, part) in enumerate(zip(offsets, parts, strict=True))
        )
        self.bodies[seq] = "".join(parts).encode()
        return Entry(seq, 0, len(self.bodies[seq]), Header(seq, 1, {}, ops))

    def _on_accepted(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.accepted[entry.seq] += 1
            if any(not self.service.kept[op.id] for op in entry.header.ops):
                self.untrue.append(entry.seq)
        self.on_any(len(self.accepted))

    def _on_refused(self, entry: Entry, why: str) -> None:
        self.refused[entry.seq] += 1
        self.on_any(len(self.accepted))

    def settled_once(self) -> None:
        """Assert that no record has ended twice, and none without its operations being there."""
        assert set((self.accepted + self.refused).values()) <= {1}
        assert self.untrue == []
        assert set(self.service.kept.values()) <= {1}


small, large = st.integers(8, 30), st.just(LARGEST + 1)
records = st.lists(st.lists(small, max_size=4), min_size=1, max_size=25)
scripts = st.lists(st.sampled_from(MOODS), max_size=30)


def run(world: World, cuts: Sequence[int]) -> None:
    """Offer the records in a few portions, and wait until each has ended."""
    at = 0
    for cut in [*sorted(cuts), len(world.entries)]:
        portion = world.entries[at:cut]
        world.sender.offer([*portion, *portion])  # what is pending already is not taken twice
        at = max(at, cut)
    world.sender.flush()
    assert world.sender.wait_idle(60), (world.sender.undelivered(), world.service)
    assert world.sender.stop(20)


@settings(max_examples=150, deadline=None)
@given(sizes=records, script=scripts, batch=st.booleans(), data=st.data())
def test_a_service_that_recovers_gets_everything_but_what_it_refuses(
    sizes: list[list[int]], script: list[str | int], batch: bool, data: st.DataObject
) -> None:
    numbers = st.integers(1, len(sizes))
    poison = data.draw(st.dictionaries(numbers, st.sampled_from(POISONS), max_size=4))
    huge = data.draw(st.sets(numbers, max_size=2))
    cuts = data.draw(st.lists(st.integers(0, len(sizes)), max_size=3))
    sizes = [[*ops, LARGEST + 1] if seq in huge else ops for seq, ops in enumerate(sizes, 1)]
    # Together the script's requests last less than the deadline: half of them may hang.
    script = [one if script[:at].count("hang") < 8 else "cut before" for at, one in enumerate(script)]
    world = World(Service(FakeClock(), script, poison, batch), sizes)
    # An earlier sender was killed before it heard the answer.
    for number in data.draw(st.sets(numbers, max_size=5)):
        ops = world.entries[number - 1].header.ops
        world.service.kept.update(op.id for op in ops if op.length <= LARGEST)
    run(world, cuts)
    world.settled_once()
    bad = {seq for seq in {*poison, *huge} if sizes[seq - 1]}
    assert set(world.refused) == bad
    assert set(world.accepted) == set(range(1, len(sizes) + 1)) - bad
    event(f"refused {min(len(bad), 3)}")


@settings(max_examples=60, deadline=None)
@given(sizes=records, script=scripts, last=st.sampled_from(MOODS[1:]), batch=st.booleans())
def test_a_service_that_never_recovers_ends_every_record_all_the_same(
    sizes: list[list[int]], script: list[str | int], last: str | int, batch: bool
) -> None:
    world = World(Service(FakeClock(), [*script, last], batch=batch, stuck=True), sizes)
    world.sender.offer(world.entries[1:])
    assert world.sender.wait_idle(60)
    world.sender.offer(world.entries[:1])  # it gets its one try, and what was given up is left alone
    assert world.sender.wait_idle(60)
    assert world.sender.stop(20)
    world.settled_once()
    assert set(world.accepted + world.refused) == set(range(1, len(sizes) + 1))


@settings(max_examples=60, deadline=None)
@given(sizes=records, script=scripts, after=st.integers(0, 25), batch=st.booleans())
def test_what_is_pending_when_it_is_stopped_stays_so(
    sizes: list[list[int]], script: list[str | int], after: int, batch: bool
) -> None:
    enough = threading.Event()
    world = World(Service(FakeClock(), [*script, "ok", 503], batch=batch, stuck=after > 10), sizes)
    world.on_any = lambda number: enough.set() if number >= after else None
    world.sender.offer(world.entries)
    if after <= 10 and len(sizes) >= after:
        assert enough.wait(60) or after == 0
    assert world.sender.stop(20)
    world.settled_once()
    ended = set(world.accepted + world.refused)
    pending = {entry.seq for entry in world.sender.undelivered()}
    assert ended | pending == set(range(1, len(sizes) + 1))
    assert not ended & pending
    assert world.sender.wait_idle() == (not pending), "it does not wait for what will never come"


@pytest.mark.parametrize("short", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_process_without_descriptors_or_memory_sends_later_and_refuses_once_what_is_unreadable(
    short: int,
) -> None:
    world = World(Service(FakeClock(), []), [[8]] * 4, most=1000)
    world.unreadable = {1: [ValueError("torn")] * 3, 2: [OSError(short, "none left")] * 2}
    run(world, [])
    world.settled_once()
    assert (set(world.refused), set(world.accepted)) == ({1}, {2, 3, 4})


def test_a_record_without_an_operation_is_never_undelivered() -> None:
    world = World(Service(FakeClock(), [503], stuck=True), [[8], [], [8]])
    run(world, [])
    world.settled_once()
    assert (set(world.refused), set(world.accepted)) == ({1, 3}, {2})


@pytest.mark.parametrize("status", [500, 503])
def test_records_that_it_fails_at_for_ever_may_lie_side_by_side(status: int) -> None:
    poison: dict[int, str | int] = dict.fromkeys(range(1, 21), status)
    world = World(Service(FakeClock(), [], poison), [[8, 8]] * 60, most=1000)
    run(world, [])
    world.settled_once()
    assert set(world.refused) == set(poison)


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("seed", range(5))
def test_a_service_that_fails_at_four_requests_in_five_is_not_sent_smaller_and_smaller_ones(
    status: int, seed: int
) -> None:
    lot = random.Random(seed)
    script: list[str | int] = [status if lot.random() < 0.8 else "ok" for _ in range(10_000)]
    world = World(Service(FakeClock(), script), [[8, 8, 8]] * 600, most=300)
    run(world, [])
    world.settled_once()
    assert not world.refused
    assert world.service.requests < 600, "six would do if none of them failed"
