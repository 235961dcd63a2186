"""Envelopes that cannot be sent, or not all that is in them: named with the reason, and kept."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from evalrunner.config import Endpoint
from evalrunner.errors import ConfigError, ServiceError
from evalrunner.transfer.replay import replay
from tests.support.envelopes import assert_there, joined, promised, shown, traced
from tests.support.rig import Backend

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def backend(healthy: Backend) -> Backend:
    """One that may be broken."""
    return healthy


def test_what_is_refused_is_named_and_kept_and_the_rest_is_sent(
    backend: Backend, tmp_path: Path, project: str
) -> None:
    paths = traced(backend, tmp_path, project)
    wanted = promised(paths)
    whole = joined(paths, tmp_path / "whole")
    bad = next(run_id for run_id, fields in wanted.items() if "parent_run_id" in fields)
    rule = {
        "match": "POST /runs/multipart",
        "action": "status",
        "status": 422,
        "carries": f'name="post.{bad}"',
    }
    backend.faults(rule)
    result = replay(backend.endpoint, whole.parent)
    (kept,) = result.kept
    assert kept["file"] == whole.name
    assert f"post {bad}" in kept["reason"]
    assert "server answers 422: " in kept["reason"]
    assert not result.complete
    assert whole.exists()
    assert shown(backend, project).keys() == wanted.keys() - {bad}
    backend.faults()
    again = replay(backend.endpoint, whole.parent)
    assert (again.done, again.complete) == (1, True)
    assert_there(backend, project, wanted)


def test_after_the_deadline_the_rest_stays_for_the_next_time(
    backend: Backend, tmp_path: Path, project: str
) -> None:
    paths = traced(backend, tmp_path, project)
    wanted = promised(paths)
    backend.faults({"match": "POST /runs/multipart", "action": "status", "status": 503})
    result = replay(backend.endpoint, tmp_path, delivery_deadline=0.3)
    assert [one["file"] for one in result.kept] == [path.name for path in paths]
    assert all(
        "nothing was taken for 0.3 s; the last time: server answers 503" in one["reason"]
        for one in result.kept
    )
    assert (result.envelopes, result.done) == (len(paths), 0)
    backend.faults()
    assert replay(backend.endpoint, tmp_path).complete
    assert_there(backend, project, wanted)


def test_what_is_no_envelope_or_a_piece_of_one_is_named(
    backend: Backend, tmp_path: Path, project: str
) -> None:
    good, *_ = traced(backend, tmp_path, project, frames=1)
    data = good.read_bytes()
    told = orjson.loads(data)

    def changed(**fields: Any) -> bytes:
        return orjson.dumps({**told, **fields})

    body = base64.b64decode(told["body_base64"])
    plain = {"Content-Type": told["headers"]["Content-Type"]}
    unpacked = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body), read_across_frames=True).read()
    odd = {
        "cut.json": (data[: len(data) // 2], "it is cut off, or no JSON"),
        "empty.json": (b"", "it is cut off, or no JSON"),
        "list.json": (b"[]", "it is no envelope of the SDK's"),
        "run.json": (b'{"id":1}', "it is no envelope of the SDK's"),
        "notes.txt": (b"hello", "its name does not end with .json"),
        "trace_1.tmp": (data, "the end of a process cut it off"),
        "later.json": (changed(version=2), "it is version 2 for 'runs/multipart', and not version 1"),
        "other.json": (changed(endpoint="feedback"), "it is version 1 for 'feedback', and not version 1"),
        "kind.json": (changed(headers={"Content-Type": "text/html"}), "its Content-Type names no boundary"),
        "split.json": (
            changed(headers={"Content-Type": "multipart/form-data; boundary=a\r\nX: y"}),
            "its Content-Type names no boundary",
        ),
        "base.json": (changed(body_base64="?"), "its body is no base64"),
        "nothing.json": (changed(body_base64=""), "its body is cut off, or no multipart: no part begins at byte 0"),
        "brotli.json": (changed(headers={**plain, "Content-Encoding": "br"}), "packed as 'br', which is not known"),
        "frame.json": (changed(body_base64=base64.b64encode(b"abc" + body).decode()), "its body cannot be unpacked"),
        "half.json": (changed(body_base64=base64.b64encode(body[: len(body) // 2]).decode()), "its body "),
        "part.json": (
            changed(headers=plain, body_base64=base64.b64encode(unpacked[:-70]).decode()), "its body is cut off",
        ),
    }  # fmt: skip
    for name, (content, _) in odd.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.json").mkdir()
    result = replay(backend.endpoint, tmp_path)
    said = {one["file"]: one["reason"] for one in result.unread}
    assert said.keys() == odd.keys()
    for name, (_, wanted) in odd.items():
        assert wanted in said[name], name
    assert not result.complete
    assert result.done == result.envelopes >= 1
    assert all((tmp_path / name).exists() for name in odd)


def test_runs_outside_of_the_window_are_named_and_the_others_arrive(
    backend: Backend, tmp_path: Path, project: str
) -> None:
    paths = traced(backend, tmp_path, project, frames=2)
    wanted = promised(paths)
    whole = joined(paths, tmp_path / "whole")
    old = [
        run_id
        for run_id, fields in wanted.items()
        if fields["trace_id"] == min(f["trace_id"] for f in wanted.values())
    ]
    text = orjson.loads(whole.read_bytes())
    body = zstandard.ZstdDecompressor().decompressobj().decompress(base64.b64decode(text["body_base64"]))
    for run_id in old:
        start = wanted[run_id]["start_time"].encode()
        assert start in body
        body = body.replace(b'"start_time":"' + start, b'"start_time":"2024' + start[4:])
    text["body_base64"] = base64.b64encode(zstandard.compress(body)).decode()
    whole.write_bytes(orjson.dumps(text))
    backend.faults(ingest_window_hours=24)
    result = replay(backend.endpoint, whole.parent)
    (kept,) = result.kept
    assert all(run_id in kept["reason"] for run_id in old)
    assert shown(backend, project).keys() == wanted.keys() - set(old)


def test_a_folder_or_a_service_that_cannot_be_used_is_a_mistake(backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be used: No such file"):
        replay(backend.endpoint, tmp_path / "nowhere")
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "done").write_bytes(b"")
    with pytest.raises(ConfigError, match="is in the way"):
        replay(backend.endpoint, tmp_path)
    with pytest.raises(ServiceError, match="refuses the API key"):
        replay(Endpoint(backend.url, key="wrong"), tmp_path / "..")
