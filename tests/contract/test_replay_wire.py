"""What a replay puts on the wire: the bytes that are stored, and of the headers those two that belong to them."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.config import Endpoint
from evalrunner.transfer.replay import replay
from evalrunner.transfer.replay.envelopes import UnreadError, operations
from tests.support.backend import BOUNDARY, body, part, run_id


class Sink:
    """A service that takes everything, and keeps it as it came.

    Attributes:
        posts: (headers, body) of each request that carried runs.
        answers: statuses of the next ones; 202 when there are none left.
        zstd: what it says of itself.
    """

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.zstd = True
        self.url = ""


@pytest.fixture
def sink() -> Iterator[Sink]:
    own = Sink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            info = {"version": "0.18.20", "instance_flags": {"zstd_compression_enabled": own.zstd}}
            self._say(200, orjson.dumps(info) if self.path == "/info" else b"[]")

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            own.posts.append(({name.lower(): value for name, value in self.headers.items()}, sent))
            self._say(own.answers.pop(0) if own.answers else 202, b"{}")

        def _say(self, status: int, text: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    own.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield own
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


KIND = f"multipart/form-data; boundary={BOUNDARY}"


def write(path: Path, data: bytes, **headers: str) -> None:
    told = {"version": 1, "endpoint": "runs/multipart", "headers": {"Content-Type": KIND, **headers}}
    path.write_bytes(orjson.dumps({**told, "body_base64": base64.b64encode(data).decode()}))


def a_run() -> tuple[str, list[bytes]]:
    one = run_id()
    parts = [
        part(f"post.{one}", {"id": one}),
        part(f"post.{one}.inputs", b'{"x":1.0,\n"y":1180591620717411303424}'),
    ]
    return one, [*parts, part(f"attachment.{one}.f", f"--{BOUNDARY}\r\n".encode() * 3, "application/x")]


@pytest.mark.parametrize("packed", [True, False])
def test_bytes_and_headers_are_those_that_are_stored(sink: Sink, tmp_path: Path, packed: bool) -> None:
    plain = body(*a_run()[1], *a_run()[1])
    stored = zstandard.ZstdCompressor(level=7).compress(plain) if packed else plain
    extra = {"Content-Encoding": "zstd"} if packed else {}
    write(tmp_path / "trace_1.json", stored, **extra, **{"x-api-key": "theirs", "Cookie": "c"})
    assert replay(Endpoint(sink.url, key="ours"), tmp_path).complete
    ((headers, sent),) = sink.posts
    assert sent == stored
    assert (headers["content-type"], headers.get("content-encoding")) == (KIND, "zstd" if packed else None)
    assert headers["x-api-key"] == "ours"
    assert not {"theirs", "c"} & set(headers.values())


def test_a_service_without_zstd_gets_it_unpacked(sink: Sink, tmp_path: Path) -> None:
    sink.zstd = False
    plain = body(*a_run()[1])
    write(tmp_path / "trace_1.json", zstandard.compress(plain), **{"Content-Encoding": "zstd"})
    assert replay(Endpoint(sink.url, key="k"), tmp_path).complete
    ((headers, sent),) = sink.posts
    assert (sent, "content-encoding" in headers) == (plain, False)


@pytest.mark.parametrize("status", [409, 413, 400, 422])
def test_what_is_not_taken_whole_goes_operation_by_operation(sink: Sink, tmp_path: Path, status: int) -> None:
    runs = [a_run() for _ in range(3)]
    write(tmp_path / "trace_1.json", body(*(one for _, parts in runs for one in parts)))
    sink.answers = [status, 202, 409]
    result = replay(Endpoint(sink.url, key="k"), tmp_path)
    assert (result.done, result.complete, result.operations) == (1, True, {"post": 3})
    assert [sent for _, sent in sink.posts[1:]] == [body(*parts) for _, parts in runs]
    assert all(headers["content-type"] == KIND for headers, _ in sink.posts)


def test_one_operation_that_is_too_large_is_named_with_its_size(sink: Sink, tmp_path: Path) -> None:
    one, parts = a_run()
    write(tmp_path / "trace_1.json", body(*parts))
    sink.answers = [413]
    (kept,) = replay(Endpoint(sink.url, key="k"), tmp_path).kept
    assert kept == {
        "file": "trace_1.json",
        "reason": f"413: post {one} ({sum(map(len, parts)):,} bytes) is too large",
    }
    assert len(sink.posts) == 1


def test_what_breaks_the_service_is_divided_and_lets_the_others_pass(sink: Sink, tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f"trace_{number}.json", body(*a_run()[1], *a_run()[1]))
    sink.answers = [500, 500, 500]
    result = replay(Endpoint(sink.url, key="k"), tmp_path)
    assert (result.done, result.complete) == (2, True)
    assert len(sink.posts) == 3 + 2 + 1


def test_parts_that_cannot_be_told_apart_stay_together(sink: Sink, tmp_path: Path) -> None:
    (_, first), (_, second) = a_run(), a_run()
    mixed = body(first[0], *second, *first[1:], part("unheard.of", {}))
    write(tmp_path / "trace_1.json", mixed)
    sink.answers = [422]
    result = replay(Endpoint(sink.url, key="k"), tmp_path)
    assert [sent for _, sent in sink.posts] == [mixed]
    assert "of an unknown kind" in result.kept[0]["reason"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["post", "patch", "feedback"]), st.lists(st.binary(max_size=40), max_size=3)
        )
    )
)
def test_every_byte_of_a_body_belongs_to_one_operation(runs: list[tuple[str, list[bytes]]]) -> None:
    sent = []
    for kind, values in runs:
        one = run_id()
        parts = [part(f"{kind}.{one}", {"id": one})]
        if kind != "feedback":
            parts += [part(f"{kind}.{one}.{number}", value) for number, value in enumerate(values)]
            parts += [
                part(f"attachment.{one}.a.{number}", value, "x/y") for number, value in enumerate(values)
            ]
        sent.append((kind, one, b"".join(parts)))
    whole = body(*(data for _, _, data in sent))
    if not sent:
        with pytest.raises(UnreadError):
            operations(whole, BOUNDARY)
        return
    found = operations(whole, BOUNDARY)
    assert [(op.kind, op.id, whole[op.offset : op.offset + op.length]) for op in found] == sent


@given(st.integers(0, 10_000))
def test_a_body_that_is_cut_anywhere_is_no_body(at: int) -> None:
    whole = body(part(f"post.{'a' * 36}", {"id": 1}), part(f"post.{'a' * 36}.inputs", b"\r\n--" * 9))
    cut = whole[: at % (len(whole) - 4)]  # what is after the closing delimiter's dashes does not matter
    with pytest.raises(UnreadError):
        operations(cut, BOUNDARY)


def test_an_attachment_that_was_a_file_says_its_size_in_its_type() -> None:
    one = run_id()
    data = f"\r\n--{BOUNDARY}\r\n".encode() * 2
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="attachment.{one}.f"\r\n'
    file = f"{head}Content-Type: image/png; length={len(data)}\r\n\r\n".encode() + data + b"\r\n"
    whole = body(part(f"post.{one}", {}), file)
    (op,) = operations(whole, BOUNDARY)
    assert (op.offset, op.length) == (0, len(whole) - len(f"--{BOUNDARY}--\r\n"))
    unsized = whole.replace(f"; length={len(data)}".encode(), b"").replace(data, b"data")
    assert len(operations(unsized, BOUNDARY)) == 1
