"""The relay against a real server: the spools of many dead workers through one sender."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_sender import Reply, Service  # type: ignore[import-not-found]

from evalrunner.delivery.sending.spools import SpoolSender
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.delivery.spool.record import Header, encode_parts
from evalrunner.delivery.spool.writer import SpoolWriter
from evalrunner.supervisor.core.events import Event, LooseNews, SentOn
from evalrunner.supervisor.shell.relay import Relay
from tests.support.rig import wait_until


@pytest.fixture
def service() -> Iterator[Service]:
    one = Service()
    yield one
    one.close()


@pytest.fixture
def events() -> queue.SimpleQueue[Event]:
    return queue.SimpleQueue()


@pytest.fixture
def relay(service: Service, events: queue.SimpleQueue[Event]) -> Iterator[Relay]:
    sender = SpoolSender(
        lambda: HttpTransport(service.url, "lsv2_pt_canary"),
        compress=False,
        deadline=20.0,
        note=lambda _: None,
    )
    one = Relay(sender, events.put)
    yield one
    one.stop()


def spool(path: Path, items: range) -> Path:
    """Write a spool as a worker would, a loose trace behind its items."""
    writer = SpoolWriter(path, info={}, on_durable=lambda _: None, on_error=lambda _: None)
    for item in [*items, None]:
        name = f"{path.stem}-{item}"
        ops, body = encode_parts(
            writer.boundary, [("post", name, [(name, "application/json", os.urandom(20))])]
        )
        writer.append(Header(item, None if item is None else 1, {}, ops), body)
    writer.close()
    return path


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def answers(events: queue.SimpleQueue[Event], items: int) -> tuple[list[int], dict[int, str]]:
    """Collect what became of so many items: the accepted, and the refused with the reason."""
    accepted: list[int] = []
    refused: dict[int, str] = {}
    while len(accepted) + len(refused) < items:
        event = events.get(timeout=60)
        if isinstance(event, LooseNews):
            continue
        assert isinstance(event, SentOn)
        accepted += [item for item, _ in event.accepted]
        refused.update({item: reason for item, _, reason in event.refused})
    return accepted, refused


def test_many_deaths_cost_one_thread_and_a_handful_of_files(
    relay: Relay, service: Service, events: queue.SimpleQueue[Event], tmp_path: Path
) -> None:
    files = [spool(tmp_path / f"{one:06d}.spool", range(3 * one, 3 * one + 3)) for one in range(40)]
    down = threading.Event()
    service.rules.append(lambda _: None if down.is_set() else Reply(503))
    threads, fds = threading.active_count(), open_files()
    assert sum(relay.take(file, lambda _: True) for file in files) == 160
    service.wait_for(2)
    # One thread sends; the server's own are one for each connection, and the guard's timer comes and goes.
    assert threading.active_count() - threads <= 4
    assert open_files() - fds <= 6, "the connection, at both ends, and the spool that is read"
    assert service.connections <= 2
    assert relay.busy
    down.set()
    accepted, refused = answers(events, 120)
    assert (sorted(accepted), refused) == (list(range(120)), {})
    assert len(service.taken) == 160
    assert set(service.taken.values()) == {1}


def test_what_the_dead_left_arrives_byte_for_byte_save_for_the_delimiters(
    relay: Relay, service: Service, events: queue.SimpleQueue[Event], tmp_path: Path
) -> None:
    one, other = spool(tmp_path / "1.spool", range(2)), spool(tmp_path / "2.spool", range(2, 4))
    for file in (one, other):
        relay.take(file, lambda entry: entry.header.item is not None)
    answers(events, 4)
    assert sorted(service.taken) == ["1-0", "1-1", "2-2", "2-3"]
    wait_until(lambda: not relay.busy, what="the end of all that it sends")  # a moment after the last answer


def test_a_spool_that_is_gone_costs_its_own_items_only(
    relay: Relay, service: Service, events: queue.SimpleQueue[Event], tmp_path: Path
) -> None:
    service.script.extend([Reply(503)] * 2)
    first, second = spool(tmp_path / "1.spool", range(2)), spool(tmp_path / "2.spool", range(2, 4))
    relay.take(first, lambda _: True)
    service.wait_for(1)
    relay.take(second, lambda _: True)
    second.unlink()
    accepted, refused = answers(events, 4)
    assert sorted(accepted) == [0, 1]
    assert sorted(refused) == [2, 3]
    assert "No such file" in refused[2]
