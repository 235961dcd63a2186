"""The sender and its transport against a real server that answers as it was told to."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zstandard

from evalrunner.delivery.sending.sender import Sender
from evalrunner.delivery.sending.transport import HttpTransport, is_loopback
from evalrunner.delivery.spool.record import Header, closing, encode_parts
from evalrunner.delivery.spool.writer import Entry
from evalrunner.errors import ServiceError, SpoolError, TransportError
from tests.support.listener import Hears

BOUNDARY = "evalrunner-test"
KEY = "lsv2_pt_canary"


@dataclass
class Request:
    """What arrived: the unpacked body, and the operations in it by name."""

    path: str
    headers: dict[str, str]
    body: bytes
    ops: list[str]
    at: float


@dataclass
class Reply:
    """What is answered; `take` stores the operations, as a whole 2xx does, although the answer gets lost."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    text: str = "{}"
    take: bool = False
    cut: bool = False
    trickle: str = ""  # "head" or "text": what comes one byte at a time, for ever


Rule = Callable[[Request], "Reply | None"]


class Service:
    """A scripted service: first the script, one reply a request; then the rules, first match; then 202."""

    def __init__(self) -> None:
        self.script: deque[Reply] = deque()
        self.rules: list[Rule] = []
        self.requests: list[Request] = []
        self.taken: Counter[str] = Counter()
        self.connections = 0
        self.arrived = threading.Condition()
        self.over = threading.Event()
        service = self

        class Handler(_Handler):
            owner = service

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def decide(self, request: Request) -> Reply:
        with self.arrived:
            self.requests.append(request)
            self.arrived.notify_all()
            reply = self.script.popleft() if self.script else None
            for rule in self.rules:
                reply = reply or rule(request)
            reply = reply or Reply()
            if reply.take or (reply.status < 300 and not reply.cut and reply.trickle != "head"):
                self.taken.update(request.ops)
            return reply

    def wait_for(self, number: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= number, 60)

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(60)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Service

    def setup(self) -> None:
        super().setup()
        self.owner.connections += 1

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "zstd":
            body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        request = Request(self.path, dict(self.headers), body, names(body), time.monotonic())
        reply = self.owner.decide(request)
        if reply.cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        text = reply.text.encode()
        head = f"HTTP/1.1 {reply.status} X\r\nContent-Length: {len(text)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        self.answer(head.encode() + b"\r\n", text, reply.trickle)

    def answer(self, head: bytes, text: bytes, trickle: str) -> None:
        if trickle == "head":
            self.drip(b"HTTP/1.1 202 X\r\nX-Never-Ends: ")
        elif trickle == "text":
            self.drip(head.replace(b"Content-Length: ", b"Content-Length: 9999"))
        else:
            self.wfile.write(head + text)

    def drip(self, start: bytes) -> None:
        self.close_connection = True
        try:
            self.wfile.write(start)
            while not self.owner.over.wait(0.02):
                self.wfile.write(b"x")
        except OSError:
            pass  # the client has had enough


def names(body: bytes) -> list[str]:
    """Return the operations' names, and insist that every part is whole and the end is there."""
    found = []
    mark = body.partition(b"\r\n")[0].removesuffix(b"--")  # a body may be its end alone
    while not body.startswith(mark + b"--"):
        head, _, rest = body.removeprefix(mark + b"\r\n").partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        size = int(fields["Content-Length"])
        assert rest[size : size + 2] == b"\r\n"
        found.append(fields["Content-Disposition"].split('"')[1])
        body = rest[size + 2 :]
    assert body == closing(mark.decode().removeprefix("--"))
    return found


class Quick(random.Random):
    """Hardly waits, so that a test need not."""

    def uniform(self, a: float, b: float) -> float:
        return 0.02


class Desk:
    """A sender with records in memory, and all that it says."""

    def __init__(self, service: Service, **options: Any) -> None:
        self.bodies: dict[int, bytes] = {}
        self.accepted: list[int] = []
        self.refused: dict[int, str] = {}
        self.notes: list[str] = []
        self.noted = threading.Event()
        self.booked = threading.Condition()
        transport = HttpTransport(options.pop("url", service.url), KEY, timeout=options.pop("timeout", 10.0))
        options.setdefault("rng", Quick())
        options.setdefault("linger", 0.0)
        read_body = options.pop("read_body", lambda entry: self.bodies[entry.seq])
        listener = Hears(
            options.pop("on_accepted", self.accept),
            lambda entry, why: self.refused.__setitem__(entry.seq, why),
            self.note,
        )
        self.sender = Sender(transport, read_body, BOUNDARY, listener, **options)

    def accept(self, entries: list[Entry]) -> None:
        with self.booked:
            self.accepted.extend(entry.seq for entry in entries)
            self.booked.notify_all()

    def wait_for(self, number: int) -> None:
        """Wait until so many records have been accepted, and no more."""
        with self.booked:
            assert self.booked.wait_for(lambda: len(self.accepted) >= number, 60), self.accepted
            assert len(self.accepted) == number

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.noted.set()

    def record(self, seq: int, ops: int = 1, size: int = 20) -> Entry:
        """Make a record whose operations are called `<seq>.<n>`."""
        parts = [("post", str(n), [(f"{seq}.{n}", "application/json", b"x" * size)]) for n in range(ops)]
        found, body = encode_parts(BOUNDARY, parts)
        self.bodies[seq] = body
        return Entry(seq, 0, len(body), Header(seq, 1, {}, found))

    def send(self, entries: list[Entry], timeout: float = 60) -> None:
        self.sender.offer(entries)
        assert self.sender.wait_idle(timeout)


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def open_desk(service: Service) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def open_one(**options: Any) -> Desk:
        desks.append(Desk(service, **options))
        return desks[-1]

    yield open_one
    for desk in desks:
        assert desk.sender.stop(10)
        assert KEY not in repr((desk.notes, desk.refused))


Open = Callable[..., Desk]


def duplicates(service: Service) -> Rule:
    """Answer 409 to a request of which anything was taken before, and take nothing of it."""
    return lambda request: Reply(409) if any(service.taken[op] for op in request.ops) else None


def all_once(service: Service, *entries: Entry) -> bool:
    wanted = {f"{e.seq}.{n}" for e in entries for n in range(len(e.header.ops))}
    return service.taken == Counter(wanted)


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


# The transport


def test_a_request_lasts_no_longer_than_what_is_left_of_the_deadline(
    service: Service, open_desk: Open
) -> None:
    service.rules.append(lambda _: Reply(trickle="head"))
    desk = open_desk(deadline=1, timeout=600)

    desk.send([desk.record(1), desk.record(2)])

    assert set(desk.refused) == {1, 2}
    assert desk.refused[1].startswith("not delivered within 1 s: no answer (127.0.0.1: no answer within 1 s)")


def test_a_server_that_drips_its_header_is_left_in_time_and_sent_to_again(
    service: Service, open_desk: Open
) -> None:
    drip = Reply(trickle="head")
    service.script.extend([drip, Reply(), drip])  # on a new connection, and on one that has served before
    desk = open_desk(timeout=2)
    desk.send([desk.record(1)])
    desk.send([desk.record(2)])

    assert len(service.requests) == 4
    # Its time begins before the service sees the request, so that theirs is no measure of it; what is said is.
    assert [note for note in desk.notes if note] == [
        "no answer (127.0.0.1: no answer within 2 s); sending again in 1 s"
    ] * 2
    assert desk.accepted == [1, 2]


@pytest.mark.parametrize(("status", "trickle"), [(202, "text"), (400, "text")])
def test_a_status_stands_though_its_text_never_ends(service: Service, status: int, trickle: str) -> None:
    service.script.append(Reply(status, trickle=trickle))
    transport = HttpTransport(service.url, KEY, timeout=2)

    answer = transport.post_multipart(closing(BOUNDARY), BOUNDARY, compress=False)

    assert answer.status == status
    assert set(answer.text) <= {"x"}


def test_a_text_is_capped_and_the_key_taken_out_of_it(service: Service) -> None:
    service.script.append(Reply(400, text=f"<{KEY}>" + "y" * 5000))
    transport = HttpTransport(service.url, KEY)

    answer = transport.post_multipart(closing(BOUNDARY), BOUNDARY, compress=True)

    assert answer.text.startswith("<***>yy")
    assert len(answer.text) <= 1024


def test_a_redirect_is_not_followed(service: Service, open_desk: Open) -> None:
    elsewhere = Service()
    try:
        service.script.append(Reply(307, {"Location": f"{elsewhere.url}/runs/multipart"}))
        desk = open_desk()
        desk.send([desk.record(1)])
        assert elsewhere.requests == []
    finally:
        elsewhere.close()
    assert desk.refused[1].startswith("server answers 307")


def test_loopback_never_goes_through_a_proxy(
    service: Service, open_desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    desk = open_desk()
    desk.send([desk.record(1)])

    assert desk.accepted == [1]


def test_another_host_goes_through_the_proxy_that_the_environment_names_and_netrc_is_not_read(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine langsmith.test login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", service.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    transport = HttpTransport("http://langsmith.test/api/", KEY, workspace="w-1")

    assert transport.post_multipart(closing(BOUNDARY), BOUNDARY, compress=False).status == 202
    assert service.requests[0].path == "http://langsmith.test/api/runs/multipart"
    assert service.requests[0].headers["X-Tenant-Id"] == "w-1"
    assert "Authorization" not in service.requests[0].headers


def test_what_cannot_be_sent_says_why_in_few_words(service: Service) -> None:
    service.rules.append(lambda _: Reply(cut=True))
    tls = HttpTransport(service.url.replace("http:", "https:"), KEY, timeout=5)
    cut = HttpTransport(service.url.replace("http://", "http://user:hunter2@"), KEY, timeout=5)
    nowhere = HttpTransport("http://nowhere.invalid", KEY, timeout=5)

    for transport, words in ((tls, "TLS failed"), (cut, "127.0.0.1: "), (nowhere, "nowhere.invalid: ")):
        with pytest.raises(TransportError, match=words) as caught:
            transport.post_multipart(closing(BOUNDARY), BOUNDARY, compress=False)
        assert "hunter2" not in str(caught.value)
        assert len(str(caught.value)) < 100


@pytest.mark.parametrize("url", ["", "localhost:1984", "ftp://host", "http://", "file:///etc/passwd"])
def test_an_endpoint_that_is_none_is_refused_before_anything_runs(url: str) -> None:
    with pytest.raises(ServiceError):
        HttpTransport(url, KEY)


@pytest.mark.parametrize("key", ["a\nb", "a\r\nX: y", " lsv2", "schlüssel", "\x7f"])
def test_a_key_that_fits_no_header_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(ServiceError) as caught:
        HttpTransport("http://localhost", key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("x.localhost", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("127.0.0.1.nip.io", False),
    ],
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
