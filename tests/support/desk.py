"""A scripted service over real sockets, and a sender that sends to it."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import zstandard

from evalrunner.delivery.sending.sender import Sender
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.delivery.spool.record import Header, closing, encode_parts
from evalrunner.delivery.spool.writer import Entry
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


Open = Callable[..., Desk]


def duplicates(service: Service) -> Rule:
    """Answer 409 to a request of which anything was taken before, and take nothing of it."""
    return lambda request: Reply(409) if any(service.taken[op] for op in request.ops) else None


def all_once(service: Service, *entries: Entry) -> bool:
    wanted = {f"{e.seq}.{n}" for e in entries for n in range(len(e.header.ops))}
    return service.taken == Counter(wanted)
