"""The sender against a real server that is away, throttles, or fails at one record for ever."""

from __future__ import annotations

import random
import socket
import threading
import time
from http.server import ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest

from tests.support.desk import (
    KEY,
    Open,
    Reply,
    Rule,
    Service,
    all_once,
    duplicates,
)

# Outages


@pytest.mark.parametrize("status", [503, 500, 502, 504, 408, 425, 429])
def test_an_outage_is_sat_out_and_the_same_bytes_are_sent(
    service: Service, open_desk: Open, status: int
) -> None:
    service.script.extend([Reply(status, text="busy\n\x1b[31m")] * 2)
    desk = open_desk()
    entries = [desk.record(1, ops=2), desk.record(2)]

    desk.send(entries)

    assert len({request.body for request in service.requests}) == 1
    assert len(service.requests) == 3
    assert all_once(service, *entries)
    assert desk.accepted == [1, 2]
    assert desk.notes == [f"server answers {status}: busy [31m; sending again in 1 s", ""]


def test_a_retry_after_is_obeyed(service: Service, open_desk: Open) -> None:
    service.script.append(Reply(429, {"Retry-After": "1"}))
    desk = open_desk(rng=random.Random(1))
    desk.sender.offer([desk.record(1)])
    service.wait_for(1)
    desk.send([desk.record(2)])

    first, *later = service.requests
    assert later[0].at - first.at >= 1
    assert desk.accepted == [1, 2]


def test_an_answer_that_got_lost_makes_no_duplicates(service: Service, open_desk: Open) -> None:
    service.rules.append(duplicates(service))
    service.script.append(Reply(take=True, cut=True))
    desk = open_desk()
    entries = [desk.record(seq, ops=3) for seq in (1, 2)]

    desk.send(entries)

    assert all_once(service, *entries)
    assert desk.accepted == [1, 2]
    assert not desk.refused
    assert [len(request.ops) for request in service.requests] == [6, 6, 3, 1, 1, 1, 3, 1, 1, 1]


def test_a_conflict_of_some_does_not_pass_for_acceptance_of_all(service: Service, open_desk: Open) -> None:
    service.rules.append(duplicates(service))
    service.taken.update(["2.0", "3.0", "3.1"])
    desk = open_desk()
    entries = [desk.record(seq, ops=2) for seq in (1, 2, 3, 4)]

    desk.send(entries)

    assert all_once(service, *entries)
    assert sorted(desk.accepted) == [1, 2, 3, 4]


def test_a_server_that_is_away_for_a_while(service: Service, open_desk: Open) -> None:
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    desk = open_desk(url=f"http://127.0.0.1:{port}")
    desk.sender.offer([desk.record(1)])
    assert desk.noted.wait(60)
    assert desk.notes[0] == "no answer (127.0.0.1: Connection refused); sending again in 1 s"

    late = ThreadingHTTPServer(("127.0.0.1", port), service.server.RequestHandlerClass)
    thread = threading.Thread(target=late.serve_forever, args=(0.01,))
    thread.start()
    assert desk.sender.wait_idle(60)
    late.shutdown()
    late.server_close()
    thread.join(60)
    assert desk.accepted == [1]
    assert desk.notes[-1] == ""


def test_a_proxy_that_cuts_what_is_too_large_for_it_gets_less(service: Service, open_desk: Open) -> None:
    service.rules.append(lambda request: Reply(cut=True) if len(request.ops) > 2 else None)
    desk = open_desk()
    entries = [desk.record(seq, ops=3) for seq in range(1, 5)]

    desk.send(entries)

    assert all_once(service, *entries)
    assert sorted(desk.accepted) == [1, 2, 3, 4]


def test_a_throttled_batch_is_never_divided(service: Service, open_desk: Open) -> None:
    service.script.extend([Reply(429)] * 8)
    desk = open_desk()

    desk.send([desk.record(1, ops=2), desk.record(2)])

    assert [len(request.ops) for request in service.requests] == [3] * 9


@pytest.mark.parametrize("status", [500, 503])
def test_in_an_outage_nobody_is_given_up_and_one_load_at_most_overtakes(
    service: Service, open_desk: Open, status: int
) -> None:
    service.script.extend([Reply(status)] * 9)
    desk = open_desk(max_batch_ops=4)
    entries = [desk.record(seq) for seq in range(1, 21)]

    desk.send(entries)

    assert all_once(service, *entries)
    assert len(service.requests) < 9 + 20
    late = [seq for before, seq in pairwise(desk.accepted) if seq < before]
    assert len(late) <= 1, desk.accepted
    assert not desk.refused


def test_a_refused_key_is_noted_once_and_probed(service: Service, open_desk: Open) -> None:
    service.script.extend([Reply(401, text=f"bad key {KEY}")] * 3)
    desk = open_desk(probe_interval=0.05)

    desk.send([desk.record(1)])

    times = [request.at for request in service.requests]
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(times))
    assert len(desk.notes) == 2
    assert desk.notes[0].startswith("server answers 401: bad key ***; traces are kept")
    assert desk.notes[1] == ""


@pytest.mark.parametrize("status", [503, 401])
def test_after_the_deadline_what_is_pending_is_refused_and_later_ones_get_one_try(
    service: Service, open_desk: Open, status: int
) -> None:
    service.rules.append(lambda _: Reply(status))
    desk = open_desk(deadline=3, probe_interval=0.05, max_batch_ops=1)

    desk.send([desk.record(1), desk.record(2)])

    assert set(desk.refused) == {1, 2}
    why = f"not delivered within 3 s: server answers {status}: {{}}"
    assert set(desk.refused.values()) == {why}
    before = len(service.requests)
    desk.send([desk.record(3), desk.record(4)])
    assert len(service.requests) == before + 2
    assert set(desk.refused) == {1, 2, 3, 4}

    service.rules.clear()
    desk.send([desk.record(5)])
    service.script.append(Reply(503))
    desk.send([desk.record(6)])  # the deadline is whole again
    assert desk.accepted == [5, 6]


def test_a_success_in_between_starts_the_deadline_anew(service: Service, open_desk: Open) -> None:
    clock = Steps()
    service.rules.append(lambda _: clock.advance(400))
    desk = open_desk(clock=clock, deadline=900)
    for seq in range(1, 6):
        service.script.append(Reply(503))
        desk.send([desk.record(seq)])

    assert desk.accepted == [1, 2, 3, 4, 5]


class Steps:
    """A clock that goes on by as much as it is told to, besides."""

    def __init__(self) -> None:
        self.ahead = 1000.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds

    def utcnow(self) -> Any:
        raise NotImplementedError


def test_stop_does_not_wait_for_a_back_off(service: Service, open_desk: Open) -> None:
    service.rules.append(lambda _: Reply(503, {"Retry-After": "3000"}))
    desk = open_desk(rng=random.Random(1))
    entries = [desk.record(seq) for seq in (2, 1)]
    desk.sender.offer(entries)
    desk.sender.offer([desk.record(3)])
    assert desk.noted.wait(60)

    assert desk.sender.stop(5)
    assert [entry.seq for entry in desk.sender.undelivered()] == [1, 2, 3]
    assert desk.sender.pending == 3
    assert not desk.sender.wait_idle(0)
    assert (desk.accepted, desk.refused) == ([], {})


# Failing at one record for ever


def failing(op: str, reply: Reply) -> Rule:
    return lambda request: reply if op in request.ops else None


EVER = [Reply(500), Reply(503), Reply(502), Reply(cut=True)]


@pytest.mark.parametrize("reply", EVER, ids=["500", "503", "502", "cut"])
def test_what_the_service_fails_at_for_ever_holds_nobody_back(
    service: Service, open_desk: Open, reply: Reply
) -> None:
    service.rules.append(failing("7.1", reply))
    desk = open_desk(max_batch_ops=80)
    entries = [desk.record(seq, ops=2) for seq in range(1, 61)]
    desk.sender.offer(entries)

    desk.wait_for(59)
    assert [entry.seq for entry in desk.sender.undelivered()] == [7]
    assert not desk.refused
    service.rules.clear()
    assert desk.sender.wait_idle(60)
    assert all_once(service, *entries)
    assert desk.accepted[-1] == 7
    # What was taken of it is not sent again and again: only the operation that the service fails at.
    assert service.requests[-1].ops == ["7.1"]
    assert len(service.requests) < 100


def test_after_its_own_deadline_it_is_refused_by_name(service: Service, open_desk: Open) -> None:
    service.rules.append(failing("2.0", Reply(500, text="poison!")))
    desk = open_desk(deadline=4)
    desk.send([desk.record(seq) for seq in (1, 2, 3)])

    assert sorted(desk.accepted) == [1, 3]
    assert desk.refused == {2: "not delivered within 4 s: server answers 500: poison!"}
    desk.send([desk.record(4)])
    assert desk.accepted[-1] == 4


def test_what_comes_later_passes_one_that_was_alone(service: Service, open_desk: Open) -> None:
    service.rules.append(failing("1.0", Reply(503)))
    desk = open_desk()
    desk.sender.offer([desk.record(1)])
    service.wait_for(8)
    later = [desk.record(seq) for seq in range(2, 12)]
    desk.sender.offer(later)

    desk.wait_for(10)
    assert [entry.seq for entry in desk.sender.undelivered()] == [1]
    assert all_once(service, *later)


def test_what_has_stepped_aside_keeps_nobody_waiting(service: Service, open_desk: Open) -> None:
    patient = {"Retry-After": "3000"}
    service.rules.append(
        lambda request: Reply(500, patient if service.taken else {}) if "1.0" in request.ops else None
    )
    desk = open_desk(max_batch_ops=1)
    desk.sender.offer([desk.record(seq) for seq in range(1, 6)])
    desk.wait_for(4)
    desk.sender.offer([desk.record(6)])

    desk.wait_for(5)
    assert [entry.seq for entry in desk.sender.undelivered()] == [1]


def test_its_deadline_passes_while_others_are_taken(service: Service, open_desk: Open) -> None:
    clock = Steps()
    service.rules.append(failing("1.0", Reply(500)))
    service.rules.append(lambda _: clock.advance(50))
    desk = open_desk(clock=clock, deadline=900)
    desk.sender.offer([desk.record(1)])
    service.wait_for(3)
    for seq in range(2, 60):
        desk.sender.offer([desk.record(seq)])
        desk.wait_for(seq - 1)

    assert desk.sender.wait_idle(0)
    assert desk.refused == {1: "not delivered within 900 s: server answers 500: {}"}


def test_every_third_of_a_batch(service: Service, open_desk: Open) -> None:
    poison = {f"{seq}.0" for seq in range(1, 91, 3)}
    service.rules.append(lambda request: Reply(500) if poison.intersection(request.ops) else None)
    desk = open_desk()
    desk.sender.offer([desk.record(seq) for seq in range(1, 91)])

    desk.wait_for(60)
    assert [entry.seq for entry in desk.sender.undelivered()] == list(range(1, 91, 3))
    assert not desk.refused
