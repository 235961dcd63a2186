"""One sender over many spools, against a real server: each spool's listener hears of its own records alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_sender import Reply, Service  # type: ignore[import-not-found]

from evalrunner.delivery.sending.spools import Spool, SpoolSender
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.delivery.spool.record import Header, encode_parts
from evalrunner.delivery.spool.writer import Entry, SpoolWriter, read
from tests.support.listener import Hears


@pytest.fixture
def service() -> Iterator[Service]:
    one = Service()
    yield one
    one.close()


@pytest.fixture
def sender(service: Service) -> Iterator[SpoolSender]:
    one = SpoolSender(
        lambda: HttpTransport(service.url, "lsv2_pt_canary"),
        compress=False,
        deadline=20.0,
        note=lambda _: None,
    )
    yield one
    assert one.stop(20)


class Heard:
    """A spool with records, and what was heard of each."""

    def __init__(self, path: Path, records: int, *, fails_at: str = "") -> None:
        self.accepted: list[int] = []
        self.refused: dict[int, str] = {}
        self.fails_at = fails_at
        writer = SpoolWriter(path, info={}, on_durable=lambda _: None, on_error=lambda _: None)
        for number in range(records):
            name = f"{path.stem}-{number}"
            ops, body = encode_parts(writer.boundary, [("post", name, [(name, "text/plain", os.urandom(9))])])
            writer.append(Header(number, 1, {}, ops), body)
        writer.close()
        found = read(path)
        self.entries, self.spool = found.entries, Spool(path, found.boundary, Hears(self.take, self.refuse))

    def take(self, entries: list[Entry]) -> None:
        if self.fails_at:
            raise ValueError(self.fails_at)
        self.accepted += [entry.seq for entry in entries]

    def refuse(self, entry: Entry, reason: str) -> None:
        self.refused[entry.seq] = reason


def test_records_of_two_spools_share_a_request(sender: SpoolSender, service: Service, tmp_path: Path) -> None:
    first, second = Heard(tmp_path / "a.spool", 3), Heard(tmp_path / "b.spool", 2)
    down = threading.Event()
    service.rules.append(lambda _: None if down.is_set() else Reply(503))
    for one in (first, second):
        sender.offer(one.spool, one.entries)
    sender.flush()
    down.set()
    assert sender.wait_idle(60)

    assert (first.accepted, second.accepted) == ([1, 2, 3], [1, 2])
    assert set(service.taken) == {"a-0", "a-1", "a-2", "b-0", "b-1"}
    assert service.connections == 1


def test_a_listener_that_raises_costs_its_own_records_alone(
    sender: SpoolSender, service: Service, tmp_path: Path
) -> None:
    good, bad, late = (Heard(tmp_path / f"{name}.spool", 2) for name in ("good", "bad", "late"))
    bad.fails_at = "no room in the book"
    for one in (good, bad, late):
        sender.offer(one.spool, one.entries)
    assert sender.wait_idle(60)

    assert (good.accepted, good.refused) == ([1, 2], {})
    assert bad.accepted == []
    assert set(bad.refused.values()) == {"ValueError while sending: no room in the book"}
    assert (late.accepted, late.refused) == ([1, 2], {})


def test_a_spool_that_is_gone_costs_its_own_records_alone(
    sender: SpoolSender, service: Service, tmp_path: Path
) -> None:
    there, gone = Heard(tmp_path / "there.spool", 2), Heard(tmp_path / "gone.spool", 2)
    gone.spool.path.unlink()
    for one in (gone, there):
        sender.offer(one.spool, one.entries)
    assert sender.wait_idle(60)

    assert there.accepted == [1, 2]
    assert all(reason.startswith("cannot be read from the spool") for reason in gone.refused.values())
    assert set(gone.refused) == {1, 2}
