"""The sender against a real server that answers as it was told to: what is sent, and what is refused."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from evalrunner.delivery.spool.record import Header, closing, encode_parts
from evalrunner.delivery.spool.writer import Entry
from evalrunner.errors import SpoolError
from tests.support.desk import (
    BOUNDARY,
    KEY,
    Open,
    Reply,
    Rule,
    Service,
    all_once,
)

# What is sent


@pytest.mark.parametrize("compress", [True, False])
def test_records_of_one_spool_travel_in_one_request(
    service: Service, open_desk: Open, compress: bool
) -> None:
    desk = open_desk(compress=compress)
    entries = [desk.record(seq, ops=3) for seq in range(1, 6)]

    desk.send(entries)

    (request,) = service.requests
    assert request.body == b"".join(desk.bodies[e.seq] for e in entries) + closing(BOUNDARY)
    assert request.path == "/runs/multipart"
    assert request.headers["Content-Type"] == f"multipart/form-data; boundary={BOUNDARY}"
    assert request.headers["x-api-key"] == KEY
    assert request.headers["User-Agent"].startswith("evalrunner/")
    assert request.headers.get("Content-Encoding") == ("zstd" if compress else None)
    assert "X-Tenant-Id" not in request.headers
    assert desk.accepted == [1, 2, 3, 4, 5]
    assert desk.notes == []


def test_batches_keep_to_their_limits_and_to_one_connection(service: Service, open_desk: Open) -> None:
    desk = open_desk(max_batch_ops=4, max_batch_bytes=1000, linger=30)
    entries = [desk.record(seq, ops=2, size=10) for seq in range(1, 9)]
    large = desk.record(9, size=3000)

    desk.send([*entries, large, desk.record(10)])

    assert [len(request.ops) for request in service.requests] == [4, 4, 4, 4, 1, 1]
    assert service.connections == 1


def test_a_record_waits_for_company_until_it_is_flushed(service: Service, open_desk: Open) -> None:
    desk = open_desk(linger=3600)
    desk.sender.offer([desk.record(1)])
    assert not desk.sender.wait_idle(0.2)
    desk.sender.offer([desk.record(2)])
    assert desk.sender.pending == 2
    assert service.requests == []

    desk.sender.flush()

    assert desk.sender.wait_idle(60)
    assert [request.ops for request in service.requests] == [["1.0", "2.0"]]


def test_what_is_pending_is_not_taken_twice(service: Service, open_desk: Open) -> None:
    desk = open_desk(linger=3600)
    entry = desk.record(1)
    desk.sender.offer([entry])
    desk.sender.offer([entry])
    desk.sender.flush()

    assert desk.sender.wait_idle(60)
    assert all_once(service, entry)


def test_a_record_without_operations_needs_no_request(service: Service, open_desk: Open) -> None:
    desk = open_desk()
    desk.send([desk.record(1, ops=0)])

    assert desk.accepted == [1]
    assert service.requests == []


def test_an_idle_sender_sleeps(open_desk: Open) -> None:
    desk = open_desk()
    desk.send([desk.record(1)])
    status = Path(f"/proc/self/task/{desk.sender._thread.native_id}/status")

    def switches() -> str:
        return status.read_text().rsplit("nonvoluntary", 1)[0].rsplit(":", 1)[1]

    def asleep(seen: str) -> bool:
        threading.Event().wait(0.3)
        return switches() == seen

    # One quiet third of a second is enough; on a busy machine it may take a while to get there.
    assert any(asleep(switches()) for _ in range(60))


# Refusals


def too_large(limit: int) -> Rule:
    return lambda request: Reply(413, text="large") if len(request.body) > limit else None


def test_a_batch_that_is_too_large_is_divided(service: Service, open_desk: Open) -> None:
    service.rules.append(too_large(2000))
    desk = open_desk()
    entries = [desk.record(seq, ops=3, size=400) for seq in range(1, 8)]

    desk.send(entries)

    assert all_once(service, *entries)
    assert sorted(desk.accepted) == [1, 2, 3, 4, 5, 6, 7]


def test_an_operation_that_is_too_large_alone_is_named_and_the_others_are_sent(
    service: Service, open_desk: Open
) -> None:
    service.rules.append(too_large(2000))
    desk = open_desk()
    found, body = encode_parts(
        BOUNDARY,
        [
            ("post", "root", [("2.0", "text/plain", b"x")]),
            ("post", "huge", [("2.1", "text/plain", b"x" * 3000)]),
            ("feedback", "score", [("2.2", "text/plain", b"x")]),
        ],
    )
    desk.bodies[2] = body
    entries = [desk.record(1), Entry(2, 0, len(body), Header(2, 1, {}, found)), desk.record(3)]

    desk.send(entries)

    assert set(service.taken) == {"1.0", "2.0", "2.2", "3.0"}
    assert sorted(desk.accepted) == [1, 3]
    assert desk.refused == {2: f"413: post huge ({found[1].length:,} bytes) is too large"}


def test_a_single_operation_that_is_too_large_is_refused_at_once(service: Service, open_desk: Open) -> None:
    service.rules.append(too_large(100))
    desk = open_desk()
    desk.send([desk.record(1, size=500)])

    assert len(service.requests) == 1
    assert "413: post 0" in desk.refused[1]


@pytest.mark.parametrize("status", [400, 404, 405, 422])
def test_a_poisoned_record_is_refused_alone(service: Service, open_desk: Open, status: int) -> None:
    service.rules.append(lambda request: Reply(status, text="poison!") if "5.0" in request.ops else None)
    desk = open_desk()
    entries = [desk.record(seq, ops=2) for seq in range(1, 10)]

    desk.send(entries)

    assert desk.refused == {5: f"server answers {status}: poison!"}
    assert sorted(desk.accepted) == [1, 2, 3, 4, 6, 7, 8, 9]
    assert len(service.requests) <= 1 + 2 * 4


def test_a_record_that_cannot_be_read_is_refused_alone(service: Service, open_desk: Open) -> None:
    def read_body(entry: Entry) -> bytes:
        if entry.seq == 2:
            raise SpoolError("the spool ends before byte 7")
        return desk.bodies[entry.seq]

    desk = open_desk(read_body=read_body)
    desk.send([desk.record(seq) for seq in (1, 2, 3)])

    assert desk.accepted == [1, 3]
    assert desk.refused == {2: "cannot be read from the spool: the spool ends before byte 7"}


def test_a_callback_that_raises_refuses_its_records_and_no_others(open_desk: Open) -> None:
    def on_accepted(entries: list[Entry]) -> None:
        if entries[0].seq == 1:
            raise ValueError("no room in the book")
        desk.accepted.extend(entry.seq for entry in entries)

    desk = open_desk(on_accepted=on_accepted, max_batch_ops=1)
    desk.send([desk.record(1), desk.record(2)])

    assert desk.accepted == [2]
    assert desk.refused == {1: "ValueError while sending: no room in the book"}
