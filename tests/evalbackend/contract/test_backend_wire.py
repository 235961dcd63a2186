"""The backend on the wire: order and repetition of operations, pages, prefixes, compression."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
import requests
import zstandard

from tests.support.backend import (
    Backend,
    body,
    part,
    patch,
    post,
    query,
    read,
    run_id,
    running,
)

ZSTD = {"content-encoding": "zstd"}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("backend") / "store" / "backend.db") as served:
        yield served


@pytest.mark.parametrize("order", ["post first", "patch first", "one request"])
def test_the_update_wins_whatever_the_order(backend: Backend, order: str) -> None:
    run = run_id()
    first = post(run, "order", end_time=None, inputs={"q": 1}, outputs={}, extra={"a": 1})
    second = patch(run, end_time="2026-01-02T03:04:06Z", outputs={"r": 2})
    sent = {"post first": [first, second], "patch first": [second, first], "one request": [second + first]}[
        order
    ]
    for at, raw in enumerate(sent):
        if order == "patch first" and at == 1:
            assert backend.call("GET", f"/runs/{run}").status_code == 404
        assert backend.multipart(body(raw)).status_code == 202
    kept = read(backend, run)
    assert (kept["inputs"], kept["outputs"], kept["extra"]) == ({"q": 1}, {"r": 2}, {"a": 1})
    assert (kept["status"], kept["end_time"]) == ("success", "2026-01-02T03:04:06.000000")


def test_repeated_operations(backend: Backend) -> None:
    old, new = run_id(), run_id()
    assert backend.multipart(body(post(old, "dup", outputs={"v": 1}))).status_code == 202
    again = backend.multipart(body(post(old, "dup", outputs={"v": 2})))
    assert (again.status_code, again.json()) == (409, {"detail": "payload already received"})
    assert backend.multipart(body(post(old, "dup"), post(new, "dup"))).status_code == 202
    assert read(backend, old)["outputs"] == {"v": 1}
    truth = backend.truth("dup")
    assert {run: told["post"] for run, told in truth["runs"].items()} == {old: 3, new: 1}
    assert truth["counts"]["repeated"] == 2
    assert backend.multipart(body(patch(old, outputs={"v": 3}))).status_code == 202
    assert backend.call("PATCH", f"/runs/{old}", json={"outputs": {"v": 4}}).status_code == 409
    assert read(backend, old)["outputs"] == {"v": 3}


def test_a_whole_batch_is_refused_if_the_plan_says_so(backend: Backend) -> None:
    old, new = run_id(), run_id()
    assert backend.multipart(body(post(old, "whole"))).status_code == 202
    backend.faults(conflict_mode="batch")
    feedback = part(f"feedback.{run_id()}", {"key": "k", "run_id": new, "trace_id": new})
    assert backend.multipart(body(post(old, "whole"), post(new, "whole"), feedback)).status_code == 409
    backend.faults()
    truth = backend.truth("whole")
    assert (list(truth["runs"]), truth["feedback"]) == ([old], [])


def test_a_window_of_ingest_refuses_the_whole_request(backend: Backend) -> None:
    now = datetime.now(timezone.utc)
    backend.faults(ingest_window_hours=24)
    young = post(run_id(), "window", start_time=now.isoformat())
    for hours in (-25, 25):
        other = post(run_id(), "window", start_time=(now + timedelta(hours=hours)).isoformat())
        answer = backend.multipart(body(young, other))
        assert (answer.status_code, "outside of the window" in answer.json()["detail"]) == (422, True)
    assert backend.multipart(body(young)).status_code == 202
    backend.faults()
    assert len(backend.truth("window")["runs"]) == 1
    assert backend.multipart(body(other)).status_code == 202


def test_a_trace_has_room_for_25_000_runs(backend: Backend) -> None:
    root = run_id()
    order = f"20260102T030405000006Z{root}"

    def children(count: int) -> list[bytes]:
        ids = [run_id() for _ in range(count)]
        place = {"trace_id": root, "parent_run_id": root}
        return [
            post(one, "full", dotted_order=f"{order}.20260102T030405000007Z{one}", **place) for one in ids
        ]

    assert backend.multipart(body(post(root, "full"), *children(12_499))).status_code == 202
    assert backend.multipart(body(*children(12_490))).status_code == 202
    last = children(12)
    answer = backend.multipart(body(*last, post(run_id(), "full")))
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("2 run(s) were not kept")
    assert len(backend.truth("full")["runs"]) == 25_001
    assert backend.multipart(body(*last[:10])).status_code == 409, "what fits was kept"


def test_feedback_is_replaced_by_id(backend: Backend) -> None:
    run, one = run_id(), run_id()
    for score in (1, 2):
        given = part(
            f"feedback.{one}", {"id": one, "key": "k", "run_id": run, "trace_id": run, "score": score}
        )
        assert backend.multipart(body(given)).status_code == 202
    assert backend.multipart(body(post(run, "fb"), given)).status_code == 202
    listed = backend.call("GET", f"/feedback?run={run}").json()
    assert [(f["id"], f["score"]) for f in listed] == [(one, 2)]
    assert backend.truth("fb")["feedback"] == [one]


def test_batch_and_delete(backend: Backend) -> None:
    run, other = run_id(), run_id()
    start = {"name": "n", "run_type": "chain", "start_time": 1767323045000, "session_name": "batch"}
    sent = {
        "post": [{"id": run, **start}, {"id": other, **start}],
        "patch": [{"id": run, "outputs": {"a": 1}}],
    }
    assert backend.call("POST", "/runs/batch", json=sent).status_code == 202
    kept = read(backend, run)
    assert (kept["outputs"], kept["start_time"]) == ({"a": 1}, "2026-01-02T03:04:05.000000")
    assert backend.call("POST", "/feedback", json={"run_id": run, "key": "k"}).status_code == 200
    doomed = {"session_id": kept["session_id"], "trace_ids": [run]}
    assert backend.call("POST", "/runs/delete", json=doomed).status_code == 202
    assert list(backend.truth("batch")["runs"]) == [other]
    assert backend.call("GET", f"/feedback?run={run}").json() == []


def test_pages_are_stable_and_select_only_what_is_asked(backend: Backend) -> None:
    ids = [run_id() for _ in range(25)]
    second = [f"2026-01-02T03:04:{at // 3:02}Z" for at in range(25)]
    assert backend.multipart(
        body(*(post(i, "pages", start_time=s) for i, s in zip(ids, second, strict=True)))
    ).ok
    session = backend.call("GET", "/sessions?name=pages").json()[0]["id"]
    seen: list[tuple[str, str]] = []
    cursor = None
    while True:
        page = query(
            backend, session=[session], limit=10, select=["name"], **({"cursor": cursor} if cursor else {})
        )
        seen += [(run["start_time"], run["id"]) for run in page.json()["runs"]]
        assert "inputs" not in page.json()["runs"][0]
        cursor = page.json()["cursors"]["next"]
        if cursor is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert {one for _, one in seen} == set(ids)


def test_filters(backend: Backend) -> None:
    ids = [run_id() for _ in range(3)]
    parts = [
        post(ids[0], "filters", name="a", tags=["x", "y"]),
        post(ids[1], "filters", name="b", error="boom", start_time="2026-03-01T00:00:00Z"),
        post(ids[2], "filters", end_time=None, extra={"metadata": {"k": "v"}}),
    ]
    assert backend.multipart(body(*parts)).ok
    session = backend.call("GET", "/sessions?name=filters").json()[0]["id"]

    def found(**fields: Any) -> list[int]:
        answer = query(backend, session=[session], select=["id"], **fields)
        assert answer.status_code == 200, answer.text
        return sorted(ids.index(run["id"]) for run in answer.json()["runs"])

    assert found(filter='eq(status, "pending")') == [2]
    assert found(filter=f'in(id, ["{ids[0]}", "{ids[2]}"])') == [0, 2]
    assert found(filter='and(eq(is_root, true), gte(start_time, "2026-02-01"))') == [1]
    assert found(filter='or(has(tags, "y"), eq(name, "b"))') == [0, 1]
    assert found(filter='has(metadata, \'{"k": "v"}\')') == [2]
    assert found(error=True) == [1]
    assert found(error=False) == [0, 2]
    assert found(start_time="2026-02-01T00:00:00") == [1]
    assert found(id=ids[:2], is_root=True, run_type="chain") == [0, 1]


def test_json_that_only_python_reads_is_mended(backend: Backend) -> None:
    run = run_id()
    odd = part(f"post.{run}.inputs", b'{"a": NaN, "b": "\\ud800", "c": 123456789012345678901234567890}')
    assert backend.multipart(body(post(run, "odd"), odd)).status_code == 202
    assert read(backend, run)["inputs"]["a"] is None


def test_a_bearer_token_and_the_host_header(backend: Backend) -> None:
    bearer = {"authorization": "Bearer the-token"}
    assert requests.get(f"{backend.url}/sessions", headers=bearer, timeout=60).status_code == 200
    assert backend.call("GET", "/sessions", headers={"host": "evil.example"}).status_code == 400
    assert backend.call("GET", "/sessions", headers={"host": "localhost:1"}).status_code == 200


@pytest.mark.parametrize("prefix", ["", "/api", "/api/v1", "/v1"])
def test_every_prefix(backend: Backend, prefix: str) -> None:
    assert backend.call("GET", f"{prefix}/sessions").status_code == 200
    assert backend.call("GET", f"{prefix}/info").json()["instance_flags"]["zstd_compression_enabled"] is True


def test_compressed_bodies(backend: Backend) -> None:
    ids = [run_id() for _ in range(3)]
    raw = [body(post(one, "packed", inputs={"x": "y" * 1000})) for one in ids]
    stream = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(stream, closefd=False) as writer:
        writer.write(raw[0])
    assert zstandard.frame_content_size(stream.getvalue()) == -1
    assert backend.multipart(stream.getvalue(), **ZSTD).status_code == 202
    assert backend.multipart(gzip.compress(raw[1]), **{"content-encoding": "gzip"}).status_code == 202
    assert backend.multipart(zstandard.compress(raw[2]), **ZSTD).status_code == 202
    assert set(backend.truth("packed")["runs"]) == set(ids)
    for encoding, wrong in (("zstd", b"no"), ("gzip", b"no"), ("gzip", gzip.compress(raw[0])[:50])):
        assert backend.multipart(wrong, **{"content-encoding": encoding}).status_code == 400
    assert backend.multipart(raw[0], **{"content-encoding": "br"}).status_code == 415


def test_a_large_run(backend: Backend) -> None:
    run, text = run_id(), "x" * (8 * 2**20)
    raw = body(post(run, "large", inputs={"t": text}, outputs={"t": text}, extra={"t": text}))
    assert len(raw) > 20 * 2**20
    assert backend.multipart(zstandard.compress(raw), **ZSTD).status_code == 202
    assert read(backend, run)["outputs"]["t"] == text


def test_addresses_of_attachments_are_signed(backend: Backend) -> None:
    run = run_id()
    page = part(f"attachment.{run}.page", b"<script>", "text/html")
    assert backend.multipart(body(post(run, "files"), page)).status_code == 202
    entry = read(backend, run)["s3_urls"]["attachment.page"]
    url = entry["presigned_url"]
    answer = requests.get(url, timeout=60)
    assert (answer.content, answer.headers["content-type"]) == (b"<script>", "text/html")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == "attachment"
    assert requests.get(url.replace("expires=1", "expires=2"), timeout=60).status_code == 403
    assert requests.get(url.replace("text%2Fhtml", "text%2Fcss"), timeout=60).status_code == 403
    assert requests.get(url.partition("?")[0], timeout=60).status_code == 403


def test_legacy_examples(backend: Backend) -> None:
    dataset = backend.call("POST", "/datasets", json={"name": run_id()}).json()["id"]
    one = backend.call(
        "POST", "/examples", json={"dataset_id": dataset, "inputs": {"x": 1}, "outputs": {"y": 1}}
    )
    assert (one.status_code, one.json()["outputs"]) == (200, {"y": 1})
    again = {"id": one.json()["id"], "dataset_id": dataset, "inputs": {}}
    assert backend.call("POST", "/examples", json=again).status_code == 409
    fresh = {"dataset_id": dataset, "inputs": {"x": 2}, "split": "s"}
    assert backend.call("POST", "/examples/bulk", json=[fresh, again]).status_code == 409
    assert len(backend.call("GET", f"/examples?dataset={dataset}").json()) == 1
    bulk = backend.call("POST", "/examples/bulk", json=[fresh]).json()
    assert bulk[0]["metadata"] == {"dataset_split": ["s"]}
    sparse = backend.call(
        "GET", f"/examples?dataset={dataset}&select=outputs&exclude_default_fields=True"
    ).json()
    assert [set(row) for row in sparse] == [{"id", "outputs"}] * 2
    assert backend.call("GET", f"/datasets/{dataset}").json()["example_count"] == 2


def test_examples_of_another_dataset_cannot_be_changed(backend: Backend) -> None:
    first, second = (
        backend.call("POST", "/datasets", json={"name": run_id()}).json()["id"] for _ in range(2)
    )
    one = backend.call("POST", "/examples", json={"dataset_id": first, "inputs": {"x": 1}}).json()["id"]
    kind = {"content-type": "multipart/form-data; boundary=frontier"}

    def change(dataset: str, *ids: str) -> int:
        raw = body(*(part(i, {}) + part(f"{i}.inputs", {"x": 2}) for i in ids))
        path = f"/v1/platform/datasets/{dataset}/examples"
        return int(backend.call("PATCH", path, data=raw, headers=kind).status_code)

    assert change(second, one) == 409
    assert change(first, one, run_id()) == 404
    assert backend.call("GET", f"/examples/{one}").json()["inputs"] == {"x": 1}
    assert change(first, one) == 200
    assert orjson.loads(backend.call("GET", f"/examples/{one}").content)["inputs"] == {"x": 2}


def test_an_empty_part_without_its_own_line_break(backend: Backend) -> None:
    run = run_id()
    empty = part(f"attachment.{run}.f", b"", "text/plain")
    assert empty.endswith(b"\r\n\r\n\r\n")
    assert backend.multipart(body(empty[:-2], post(run, "empty"))).status_code == 202
    assert set(read(backend, run)["s3_urls"]) == {"attachment.f"}


def test_feedback_is_listed_by_level(tmp_path: Path) -> None:
    with running(tmp_path / "s" / "backend.db") as backend, backend.client() as client:
        project = client.create_project("levels")
        run_id = uuid4()
        client.create_run("r", {}, "chain", id=run_id, project_name="levels")
        client.create_feedback(run_id, "of a run", score=1, session_id=project.id)
        client.create_feedback(key="of all", score=2, project_id=project.id)

        def keys(level: str) -> list[str]:
            params = {"session": str(project.id), "level": level}
            rows = client.request_with_retries("GET", "/feedback", params=params).json()
            return [row["key"] for row in rows]

        assert (keys("run"), keys("session")) == (["of a run"], ["of all"])
