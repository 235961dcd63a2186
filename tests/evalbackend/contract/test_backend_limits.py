"""Bombs, endless bodies and slow clients: memory stays bounded, and the server goes on answering."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import zstandard

from tests.support.backend import (
    BOUNDARY,
    TOKEN,
    Backend,
    Process,
    body,
    post,
    run_id,
)

MIB = 2**20
ZEROS = bytes(MIB)
HEAD = (
    f"POST /runs/multipart HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: {TOKEN}\r\n"
    f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "store.sqlite")
    try:
        yield process
    finally:
        process.kill()


def peak(server: Process) -> int:
    """Return the highest memory that the kernel has seen of the server, in MiB."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def bomb(size: int) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join(packer.compress(ZEROS) for _ in range(size // MIB)) + packer.flush()


def works(backend: Backend) -> None:
    """Assert that a run is taken in and found."""
    run = run_id()
    answer = backend.multipart(zstandard.compress(body(post(run, "works"))), **{"content-encoding": "zstd"})
    assert answer.status_code == 202, answer.text
    assert backend.call("GET", f"/runs/{run}").json()["id"] == run


def connected(backend: Backend, sent: bytes) -> socket.socket:
    place = urlsplit(backend.url)
    opened = socket.create_connection((place.hostname or "", place.port or 0), timeout=60)
    opened.sendall(sent)
    return opened


def test_a_bomb_costs_no_memory(server: Process) -> None:
    before, packed = peak(server), bomb(2**30)
    assert len(packed) < 64 * 1024
    answer = server.backend.multipart(packed, **{"content-encoding": "zstd"})
    assert answer.status_code == 413
    assert peak(server) - before < 64
    works(server.backend)


def test_many_bodies_just_below_the_limit_are_in_memory_one_at_a_time(server: Process) -> None:
    before, packed = peak(server), bomb(200 * MIB)

    def send(_: int) -> int:
        return int(server.backend.multipart(packed, **{"content-encoding": "zstd"}).status_code)

    with ThreadPoolExecutor(6) as pool:
        sending = [pool.submit(send, number) for number in range(6)]
        answers = 0
        while not all(one.done() for one in sending):
            assert server.backend.call("GET", "/info").status_code == 200
            answers += 1
    assert {one.result() for one in sending} == {400}  # zeros are no multipart
    assert peak(server) - before < 2 * 200 + 100
    assert answers > 2 * len(sending), "nobody waits until a body is unpacked"
    works(server.backend)


def test_a_body_of_a_gigabyte_is_refused_and_not_kept(server: Process) -> None:
    before, answered = peak(server), b""
    opened = connected(server.backend, f"{HEAD}Content-Length: {2**30}\r\n\r\n".encode())
    try:
        for _ in range(2**10):
            opened.sendall(ZEROS)
    except OSError:
        pass  # hung up: then the answer has come before that
    finally:
        answered = opened.recv(100)
        opened.close()
    assert answered.startswith(b"HTTP/1.1 413")
    assert peak(server) - before < 100
    works(server.backend)


def test_clients_that_never_finish_their_headers_are_in_nobodys_way(server: Process) -> None:
    before = peak(server)
    idle = [connected(server.backend, HEAD.encode()) for _ in range(200)]
    try:
        for one in idle:
            one.sendall(b"X-More: 1\r\n")
        works(server.backend)
        assert peak(server) - before < 50
    finally:
        for one in idle:
            one.close()
    works(server.backend)


def test_headers_without_an_end_are_refused(server: Process) -> None:
    before = peak(server)
    opened = connected(server.backend, HEAD.encode() + b"X-Long: ")
    answered = b""
    try:
        for _ in range(64):
            opened.sendall(b"a" * MIB)
        answered = opened.recv(100)
    except OSError:
        pass  # hung up without reading more
    finally:
        opened.close()
    assert answered == b"" or answered.startswith(b"HTTP/1.1 4")
    assert peak(server) - before < 50
    works(server.backend)


def test_clients_that_send_their_bodies_slowly_are_in_nobodys_way(server: Process) -> None:
    before, stop = peak(server), threading.Event()
    head = f"{HEAD}Content-Length: {20 * MIB}\r\n\r\n".encode()
    slow = [connected(server.backend, head + bytes(64 * 1024)) for _ in range(100)]

    def drip() -> None:
        while not stop.wait(0.01):
            for one in slow:
                one.sendall(b"\0")

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        for _ in range(20):
            works(server.backend)
        assert peak(server) - before < 60
    finally:
        stop.set()
        dripping.join()
        for one in slow:
            one.close()
    works(server.backend)
