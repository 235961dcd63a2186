"""What the backend refuses on the wire: bodies, queries, sizes, keys, values that could not be given out again."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import requests
import zstandard

from evalrunner.protocol.values import NESTING
from tests.support.backend import (
    Backend,
    body,
    part,
    post,
    query,
    read,
    run_id,
    running,
)

# Parameters must be the same in every process that collects them: a run and a session that nobody makes.
R, NOBODYS = "0c0ffee0-0000-4000-8000-000000000001", "0c0ffee0-0000-4000-8000-000000000002"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("backend") / "store" / "backend.db") as served:
        yield served


BAD_QUERIES: list[tuple[int, dict[str, Any]]] = [
    (400, {}),
    (400, {"session": [NOBODYS], "trace_filter": "eq(nom, 1)"}),
    (400, {"session": [NOBODYS], "filter": "eq(feedback_colour, 1)"}),
    (400, {"session": [NOBODYS], "filter": "eq(name"}),
    (400, {"session": [NOBODYS], "filter": "and(" * 2000}),
    (400, {"session": [NOBODYS], "filter": "eq(total_tokens, 99999999999999999999)"}),
    (400, {"session": [NOBODYS], "filter": f"and({', '.join(['eq(name, 1)'] * 3000)})"}),
    (400, {"session": [NOBODYS], "cursor": "nonsense"}),
    (422, {"session": ["x"]}),
    (422, {"session": [NOBODYS], "limit": 0}),
    (422, {"session": [NOBODYS], "run_type": "cat"}),
    (422, {"session": [NOBODYS], "run_type": {"a": 1}}),
    (422, {"session": [NOBODYS], "start_time": "yesterday"}),
    (422, {"session": [NOBODYS], "select": "id"}),
]


@pytest.mark.parametrize(("status", "asked"), BAD_QUERIES)
def test_queries_that_are_refused(backend: Backend, status: int, asked: dict[str, Any]) -> None:
    answer = query(backend, **asked)
    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)


BAD_BODIES: list[tuple[int, bytes]] = [
    (400, b""),
    (400, b"no boundary"),
    (400, post(R, "bad")),
    (400, body(post(R, "bad"))[:-40]),
    (400, b'--frontier\r\nContent-Disposition: form-data; name="post.x"\r\n'),
    (400, b"--frontier\r\nContent-Type: text/plain\r\n\r\nx\r\n--frontier--\r\n"),
    (422, body(part(f"post.{R}", b"{"))),
    (422, body(part(f"post.{R}", b"[]"))),
    (422, body(part(f"post.{R}", {"name": "n"}))),
    (422, body(part("post.zzz", {}))),
    (422, body(part(f"post.{R}.inputs", {}))),
    (422, body(part("whatever", {}))),
    (422, body(part(f"attachment.{R}", b"x"))),
    (422, body(post(R, "bad", run_type="cat"))),
    (422, body(post(R, "bad", start_time="2026-13-01T00:00:00.000000+00:00"))),
    (422, body(post(R, "bad", start_time=[1]))),
    (422, body(post(R, "bad", inputs=[1]))),
    (422, body(post(R, "bad", events={}))),
    (422, body(post(R, "bad"), part(f"post.{R}.inputs", b'{"a":'))),
    (422, body(post(R, "bad", tags="t"))),
    (422, body(part(f"feedback.{R}", {"score": 1}))),
    (422, body(part(f"feedback.{R}", {"key": "k", "score": "high"}))),
    (422, body(post(R, "bad").replace(b"Content-Length", b"Content-Size"))),
    (400, body(post(R, "bad").replace(b"Content-Length: ", b"Content-Length: 1"))),
]


@pytest.mark.parametrize(("status", "raw"), BAD_BODIES)
def test_bodies_that_are_refused(backend: Backend, status: int, raw: bytes) -> None:
    answer = backend.multipart(raw)
    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)
    assert backend.call("GET", f"/runs/{R}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/runs/x", 404),
        ("GET", "/no/such", 404),
        ("DELETE", "/info", 405),
        ("GET", "/sessions?limit=101", 422),
        ("GET", "/sessions?limit=x", 422),
        ("GET", "/sessions?metadata=[]", 422),
        ("GET", "/sessions?include_stats=perhaps", 422),
        ("GET", "/examples", 400),
        ("GET", f"/examples?dataset={R}&as_of=prod", 404),
        ("GET", f"/examples/{R}", 404),
        ("GET", f"/datasets/{R}", 404),
        ("GET", f"/sessions/{R}", 404),
        ("DELETE", f"/sessions/{R}", 404),
        ("POST", "/sessions", 422),
        ("POST", "/datasets", 422),
        ("POST", "/feedback", 422),
        ("POST", f"/datasets/{R}/runs", 422),
        ("POST", f"/platform/datasets/{R}/examples", 400),
    ],
)
def test_requests_that_are_refused(backend: Backend, method: str, path: str, status: int) -> None:
    answer = backend.call(method, path, data=b"[1" if method == "POST" else None)
    assert (answer.status_code, "detail" in answer.json()) == (status, True)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": "wrong"},
        {"x-api-key": ""},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic x"},
    ],
)
def test_without_the_key_nothing_is_told(backend: Backend, headers: dict[str, str]) -> None:
    answer = requests.get(f"{backend.url}/sessions", headers=headers, timeout=60)
    assert (answer.status_code, bool(answer.json()["detail"])) == (401, True)
    assert requests.get(f"{backend.url}/info", headers=headers, timeout=60).status_code == 200
    admin = requests.get(f"{backend.url}/_admin/faults", headers=headers, timeout=60)
    assert admin.status_code == 401


@pytest.mark.parametrize("encoding", ["zstd", "gzip"])
def test_a_bomb_is_refused(backend: Backend, encoding: str) -> None:
    block = bytes(2**20)
    stream = io.BytesIO()
    with (
        zstandard.ZstdCompressor().stream_writer(stream, closefd=False)
        if encoding == "zstd"
        else gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1)
    ) as writer:
        for _ in range(300):
            writer.write(block)
    assert len(stream.getvalue()) < 2 * 2**20
    assert backend.multipart(stream.getvalue(), **{"content-encoding": encoding}).status_code == 413


def test_a_body_that_is_too_large_on_the_wire_is_refused(backend: Backend) -> None:
    assert backend.multipart(bytes(26 * 2**20)).status_code == 413


@pytest.mark.parametrize("operations", [{"rename": [1]}, {"rename": {"a": 1}}, {"retain": 3}])
def test_attachment_operations_that_are_refused(backend: Backend, operations: dict[str, Any]) -> None:
    raw = body(part(R, {}), part(f"{R}.attachments_operations", operations))
    kind = {"content-type": "multipart/form-data; boundary=frontier"}
    assert (
        backend.call("PATCH", f"/platform/datasets/{R}/examples", data=raw, headers=kind).status_code == 422
    )


def nested(levels: int) -> bytes:
    """An object with that many levels, as bytes: what writes JSON stops earlier."""
    return b'{"a":' * levels + b"1" + b"}" * levels


HUGE = b'{"a": 1' + b"0" * 400 + b"}"


def everywhere(value: bytes) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Every kind of request that takes free JSON, with `value` in it: name -> (method, path, options)."""
    json_type = {"content-type": "application/json"}
    form = {"content-type": "multipart/form-data; boundary=frontier"}

    def head() -> bytes:
        facts = {"id": run_id(), "name": "n", "run_type": "chain", "start_time": "2026-01-02T03:04:05Z"}
        return orjson.dumps({**facts, "session_name": "deep"})[:-1]

    run = run_id()
    bodies: dict[str, tuple[str, str, bytes]] = {
        "POST /runs": ("POST", "/runs", head() + b',"inputs":' + value + b"}"),
        "POST /runs/batch": ("POST", "/runs/batch", b'{"post":[' + head() + b',"extra":' + value + b"}]}"),
        "POST /datasets": ("POST", "/datasets", b'{"name":"deep-%s","extra":%s}' % (run.encode(), value)),
        "POST /sessions": ("POST", "/sessions", b'{"name":"deep-%s","extra":%s}' % (run.encode(), value)),
        "POST /feedback": (
            "POST",
            "/feedback",
            b'{"run_id":"%s","key":"k","value":%s}' % (run.encode(), value),
        ),
    }
    found: dict[str, tuple[str, str, dict[str, Any]]] = {
        name: (method, path, {"data": data, "headers": json_type})
        for name, (method, path, data) in bodies.items()
    }
    for field in ("inputs", "outputs", "extra", "events", "serialized"):
        data = b"[" + value + b"]" if field == "events" else value
        one = run_id()
        whole = body(post(one, "deep"), part(f"post.{one}.{field}", data))
        found[f"multipart {field}"] = ("POST", "/runs/multipart", {"data": whole, "headers": form})
    return found


@pytest.mark.parametrize(
    "value", [nested(260), nested(900), nested(5000), HUGE], ids=["260", "900", "5000", "huge"]
)
def test_what_cannot_be_given_out_again_is_refused_and_no_error_of_the_server(
    backend: Backend, value: bytes
) -> None:
    for name, (method, path, options) in everywhere(value).items():
        answer = backend.call(method, path, **options)
        assert answer.status_code == 422, (name, answer.status_code, answer.text[:200])


@pytest.mark.parametrize("where", ["inputs", "outputs", "metadata"])
def test_examples_that_are_nested_too_deeply_are_refused_by_name(backend: Backend, where: str) -> None:
    made = backend.call("POST", "/datasets", json={"name": f"deep {run_id()}"}).json()
    example, form = run_id(), {"content-type": "multipart/form-data; boundary=frontier"}
    fields = {"inputs": b"{}", "outputs": b"{}", "metadata": b"{}", where: nested(260)}
    raw = part(example, b'{"metadata":' + fields["metadata"] + b"}") + b"".join(
        part(f"{example}.{name}", fields[name]) for name in ("inputs", "outputs")
    )
    path = f"/v1/platform/datasets/{made['id']}/examples"
    answer = backend.call("POST", path, data=body(raw), headers=form)
    assert (answer.status_code, "nested deeper" in answer.text) == (422, True)
    json_body = b'{"dataset_id":"%s","inputs":{},"%s":%s}' % (
        made["id"].encode(),
        where.encode(),
        nested(260),
    )
    answer = backend.call("POST", "/examples", data=json_body, headers={"content-type": "application/json"})
    assert (answer.status_code, "nested deeper" in answer.text) == (422, True)
    assert backend.call("GET", f"/examples?dataset={made['id']}").json() == []


def test_what_our_own_side_may_send_is_taken_everywhere_and_given_out_again(backend: Backend) -> None:
    for name, (method, path, options) in everywhere(nested(NESTING)).items():
        answer = backend.call(method, path, **options)
        assert answer.status_code < 300, (name, answer.text[:200])
    run = run_id()
    fields = {name: orjson.loads(nested(NESTING)) for name in ("inputs", "outputs")}
    deep = {"metadata": {"a": orjson.loads(nested(NESTING - 2))}}
    assert backend.multipart(body(post(run, "deepest", **fields, extra=deep))).status_code == 202
    assert read(backend, run)["inputs"] == fields["inputs"]
    session = backend.call("GET", "/sessions?name=deepest").json()[0]["id"]
    (found,) = query(backend, session=[session]).json()["runs"]
    assert (found["outputs"], found["extra"]) == (fields["outputs"], deep)
