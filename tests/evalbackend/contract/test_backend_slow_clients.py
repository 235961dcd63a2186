"""Clients that do not go on are let go, places are given to those who ask, and the others notice nothing."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
import zstandard

from evalbackend.http.connections import Limits
from tests.support.backend import TOKEN, Backend, body, post, run_id, running

MIB = 2**20
SHORT = Limits(stall_s=0.5, progress=1024)
HEAD = f"POST /runs/multipart HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: {TOKEN}\r\n"
WHOLE = f"{HEAD}Content-Type: multipart/form-data; boundary=frontier\r\nContent-Length: {MIB}\r\n\r\n"
INFO = "GET /info HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    with running(tmp_path / "backend.db", limits=SHORT) as served:
        yield served


@contextlib.contextmanager
def connected(backend: Backend, sent: str, *, window: int = 0) -> Iterator[socket.socket]:
    place = urlsplit(backend.url)
    with socket.socket() as opened:
        if window:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        opened.settimeout(30)
        opened.connect((place.hostname or "", place.port or 0))
        opened.sendall(sent.encode())
        yield opened


def hear_info(opened: socket.socket) -> None:
    """Take in the answer to INFO."""
    said = b""
    while b"instance_flags" not in said:
        chunk = opened.recv(65536)
        assert chunk
        said += chunk


def told(opened: socket.socket) -> bytes:
    """Return what the server says until it hangs up."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := opened.recv(65536):
            said += chunk
    return said


def drip(opened: socket.socket) -> None:
    """Send a byte now and then, until there is an answer or the connection is cut."""
    with contextlib.suppress(OSError):
        while not select.select([opened], [], [], 0.05)[0]:
            opened.sendall(b"a")


def hung_up(opened: list[socket.socket], count: int) -> list[socket.socket]:
    """Wait until the server has hung up on so many; return these."""
    open_still, gone = {one.fileno(): one for one in opened}, list[socket.socket]()
    while len(gone) < count:
        waiting = select.poll()
        for number in open_still:
            waiting.register(number, select.POLLRDHUP)
        found = waiting.poll(30_000)
        assert found, f"the server hung up on {len(gone)} only"
        gone += [open_still.pop(number) for number, _ in found]
    return gone


def answer(opened: socket.socket) -> tuple[int, str]:
    """Return status and detail of the answer after which the server hangs up."""
    head, _, content = told(opened).partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), str(orjson.loads(content)["detail"])


def works(backend: Backend) -> None:
    """Assert that the SDK's run is taken in and found."""
    run = run_id()
    with backend.client() as client:
        client.create_project(run)
        client.create_run("works", {"x": 1}, "chain", id=run, project_name=run)
    assert backend.call("GET", f"/runs/{run}").json()["inputs"] == {"x": 1}


@pytest.mark.parametrize("sent", ["", "G", HEAD, INFO + HEAD])
@pytest.mark.parametrize("drips", [False, True])
def test_a_head_that_does_not_end(backend: Backend, sent: str, drips: bool) -> None:
    with connected(backend, sent) as opened:
        if sent.startswith(INFO):
            hear_info(opened)
        if drips:
            drip(opened)
        assert answer(opened) == (408, "nothing more of the request came for 0.5 s")
    works(backend)


@pytest.mark.parametrize("sent", [WHOLE, WHOLE + "some of it", INFO + WHOLE])
@pytest.mark.parametrize("drips", [False, True])
def test_a_body_that_stalls_or_trickles(backend: Backend, sent: str, drips: bool) -> None:
    with connected(backend, sent) as opened:
        if sent.startswith(INFO):
            hear_info(opened)
        if drips:
            drip(opened)
        assert answer(opened)[0] == 408
    works(backend)


def test_a_body_that_is_slow_and_goes_on_is_taken_in(backend: Backend) -> None:
    run = run_id()
    raw = body(post(run, "slow", inputs={"x": "y" * 400_000}))
    with connected(backend, WHOLE.replace(str(MIB), str(len(raw)))) as opened:
        for at in range(0, len(raw), 8192):  # 2.5 s in all, which is more than a stall may last
            assert not select.select([opened], [], [], 0.05)[0]
            opened.sendall(raw[at : at + 8192])
        assert opened.recv(100).startswith(b"HTTP/1.1 202")
    assert backend.call("GET", f"/runs/{run}").status_code == 200


def test_a_client_that_is_refused_and_goes_on_sending_slowly(backend: Backend) -> None:
    with connected(backend, WHOLE.replace(TOKEN, "wrong")) as opened:
        assert opened.recv(65536).startswith(b"HTTP/1.1 401")
        told(opened)
    works(backend)


def test_an_answer_that_nobody_reads(backend: Backend) -> None:
    run, text = run_id(), "x" * (8 * MIB)
    raw = zstandard.compress(
        body(post(run, "large", inputs={"t": text}, outputs={"t": text}, extra={"t": text}))
    )
    assert backend.multipart(raw, **{"content-encoding": "zstd"}).status_code == 202
    asked = f"GET /runs/{run} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: {TOKEN}\r\n\r\n"
    with connected(backend, asked, window=4096) as opened:
        cut = select.poll()
        cut.register(opened, select.POLLHUP)
        assert cut.poll(30_000), "the server hangs up"
        assert len(told(opened)) < 24 * MIB
    assert len(backend.call("GET", f"/runs/{run}").content) > 24 * MIB
    works(backend)


def test_idle_connections_give_their_places_to_those_who_ask(tmp_path: Path) -> None:
    with running(tmp_path / "backend.db", limits=Limits(connections=20)) as backend:
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(connected(backend, sent)) for sent in ("", HEAD, INFO) * 40]
            works(backend)
            # Which of them go is a matter of who was idle at that moment; how many is not.
            for one in hung_up(idle, 100):
                assert b"503" in told(one)
        works(backend)


def test_where_everybody_is_busy_a_newcomer_is_told_so(tmp_path: Path) -> None:
    with running(tmp_path / "backend.db", limits=Limits(connections=5)) as backend:
        works(backend)
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                busy = stack.enter_context(connected(backend, f"{WHOLE[:-2]}Expect: 100-continue\r\n\r\n"))
                assert busy.recv(100).startswith(b"HTTP/1.1 100")
            for _ in range(3):
                with connected(backend, INFO) as opened:
                    assert answer(opened) == (
                        503,
                        "this server has no place for another connection: try again",
                    )
        works(backend)
