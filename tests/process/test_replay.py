"""Envelopes that the real SDK writes when a service fails, sent again verbatim."""

from __future__ import annotations

import base64
import io
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from langsmith.schemas import Run

from evalrunner.config import Endpoint
from evalrunner.errors import ConfigError, ServiceError
from evalrunner.transfer.replay import Replayed, replay
from evalrunner.transfer.replay.envelopes import read
from tests.support.cli import in_process
from tests.support.rig import Backend, backend_in, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FRAMES, CHILDREN = 4, 3
#: One frame after the other, each of which fails by itself: a trace with children, an attachment and a score.
_TRACING = """
import sys
import langsmith as ls
from langsmith import Client
from langsmith.schemas import Attachment

client = Client()

@ls.traceable(client=client)
def step(n):
    return {"n": n, "text": "\\u00e9", "one": 1.0}

@ls.traceable(client=client, dangerously_allow_filesystem=False)
def answer(n, plot: Attachment):
    for child in range(int(sys.argv[2])):
        step(child)
    return {"n": n}

for frame in range(int(sys.argv[1])):
    ids = []
    answer(frame, Attachment(mime_type="image/png", data=b"\\x89PNG" + bytes(20)),
           langsmith_extra={"on_end": lambda run: ids.append(run.id)})
    client.create_feedback(ids[0], "right", score=0.5, trace_id=ids[0])
    client.flush()
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A backend of its own."""
    with backend_in(tmp_path_factory.mktemp("there")) as one:
        yield one


@pytest.fixture
def backend(there: Backend) -> Iterator[Backend]:
    """It, healthy."""
    there.faults()
    there.flags(zstd_compression_enabled=True)
    yield there
    there.faults()
    there.flags(zstd_compression_enabled=True)


def traced(
    backend: Backend, folder: Path, project: str, *, status: int = 422, frames: int = FRAMES
) -> list[Path]:
    """Let the SDK trace in a process of its own while the service refuses everything; return its envelopes."""
    backend.faults({"match": "POST /runs/multipart", "action": "status", "status": status})
    env = backend.environment(
        LANGSMITH_FAILED_TRACES_DIR=str(folder), LANGSMITH_PROJECT=project, LANGSMITH_TRACING="true",
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _TRACING, str(frames), str(CHILDREN)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    backend.faults()
    found = sorted(folder.glob("trace_*.json"))
    assert found, done.stderr
    return found


@pytest.fixture
def project() -> str:
    return f"p-{secrets.token_hex(4)}"


def promised(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """What envelopes say of runs: id -> the fields of the main parts."""
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        told = orjson.loads(path.read_bytes())
        body = base64.b64decode(told["body_base64"])
        if told["headers"].get("Content-Encoding") == "zstd":
            body = (
                zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body), read_across_frames=True).read()
            )
        for part in body.split(b"--" + told["headers"]["Content-Type"].partition("boundary=")[2].encode()):
            head, _, data = part.partition(b"\r\n\r\n")
            name = head.partition(b'name="')[2].partition(b'"')[0].decode()
            kind, _, run_id = name.partition(".")
            if kind in ("post", "patch") and "." not in run_id:
                fields = {key: value for key, value in orjson.loads(data).items() if value is not None}
                found[run_id] = {**found.get(run_id, {}), **fields}
    return found


def shown(backend: Backend, project: str) -> dict[str, Run]:
    found = list(backend.client.list_runs(project_name=project))
    by_id = {str(run.id): run for run in found}
    assert len(by_id) == len(found)
    return by_id


def assert_there(
    backend: Backend, project: str, wanted: dict[str, dict[str, Any]], frames: int = FRAMES
) -> None:
    """Everything that was traced is there once, with the ids and times that it had."""
    found = shown(backend, project)
    assert len(wanted) == frames * (1 + CHILDREN)
    assert found.keys() == wanted.keys()
    for run_id, run in found.items():
        assert run.start_time == datetime.fromisoformat(wanted[run_id]["start_time"])
        assert run.end_time is not None
        assert run.dotted_order == wanted[run_id]["dotted_order"]
    roots = [run for run in found.values() if run.parent_run_id is None]
    assert len(roots) == frames
    assert all(set(run.attachments or {}) == {"plot"} for run in roots)


def done_names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "done").iterdir())


@pytest.mark.parametrize("status", [503, 422])
@pytest.mark.parametrize("zstd", [True, False], ids=["zstd", "plain"])
def test_what_the_sdk_could_not_send_arrives_as_it_was(
    backend: Backend, tmp_path: Path, project: str, zstd: bool, status: int
) -> None:
    backend.flags(zstd_compression_enabled=zstd)
    frames = 1 if status == 503 else FRAMES  # it takes its time over each
    paths = traced(backend, tmp_path, project, status=status, frames=frames)
    wanted, names = promised(paths), [path.name for path in paths]
    assert shown_or_none(backend, project) is None
    result = replay(backend.endpoint, tmp_path)
    assert result.complete, result
    assert (result.envelopes, result.done) == (len(paths), len(paths))
    assert_there(backend, project, wanted, frames)
    assert len(backend.truth(project)["feedback"]) == frames
    assert result.operations["feedback"] == frames
    assert done_names(tmp_path) == names
    assert not list(tmp_path.glob("*.json"))
    assert replay(backend.endpoint, tmp_path) == Replayed(str(tmp_path), result.destination)


def shown_or_none(backend: Backend, project: str) -> dict[str, Run] | None:
    names = [one.name for one in backend.client.list_projects(name=project)]
    return shown(backend, project) if names else None


@pytest.mark.parametrize("mode", ["partial", "batch"])
def test_what_is_there_already_is_done(backend: Backend, tmp_path: Path, project: str, mode: str) -> None:
    paths = traced(backend, tmp_path, project)
    wanted = promised(paths)
    backend.faults(conflict_mode=mode)
    half = tmp_path / "half"
    half.mkdir()
    for path in paths[::2]:
        shutil.copy(path, half)
    assert replay(backend.endpoint, half).complete
    result = replay(backend.endpoint, tmp_path)
    assert (result.done, result.kept, result.unread) == (len(paths), [], [])
    assert_there(backend, project, wanted)


def joined(paths: list[Path], to: Path) -> Path:
    """One envelope out of several of one process: as the SDK makes them when much is traced at once.

    Until it has heard from the service it packs none of them, and each has a boundary of its own.
    """
    told = orjson.loads(paths[0].read_bytes())
    envelopes = [read(path) for path in paths]
    ours = f"--{envelopes[0].boundary}".encode()
    bodies = [one.body.replace(f"--{one.boundary}".encode(), ours) for one in envelopes]
    end = ours + b"--\r\n"
    assert all(body.endswith(end) for body in bodies)
    whole = b"".join(body.removesuffix(end) for body in bodies) + end
    told["headers"]["Content-Encoding"] = "zstd"
    told["body_base64"] = base64.b64encode(zstandard.compress(whole)).decode()
    to.mkdir()
    path = to / paths[0].name
    path.write_bytes(orjson.dumps(told))
    return path


def test_of_a_batch_of_which_a_part_is_there_the_rest_is_sent(
    backend: Backend, tmp_path: Path, project: str
) -> None:
    paths = traced(backend, tmp_path, project)
    wanted = promised(paths)
    whole = joined(paths, tmp_path / "whole")
    some = tmp_path / "some"
    some.mkdir()
    shutil.copy(paths[1], some)
    assert replay(backend.endpoint, some).complete
    backend.faults(
        conflict_mode="batch"
    )  # one repeated operation is enough, and nothing of the request is kept
    result = replay(backend.endpoint, whole.parent)
    assert (result.done, result.kept) == (1, [])
    assert_there(backend, project, wanted)


def test_what_is_too_large_is_sent_operation_by_operation(
    backend: Backend, tmp_path: Path, project: str
) -> None:
    paths = traced(backend, tmp_path, project)
    wanted = promised(paths)
    whole = joined(paths, tmp_path / "whole")
    backend.faults({"match": "POST /runs/multipart", "action": "status", "status": 413, "first_n": 1})
    assert replay(backend.endpoint, whole.parent).complete
    assert backend.fault_report()["rules"][0]["fired"] == 1
    assert_there(backend, project, wanted)


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


def test_a_service_that_stumbles_is_sent_it_again(backend: Backend, tmp_path: Path, project: str) -> None:
    wanted = promised(traced(backend, tmp_path, project))
    backend.faults(
        {"match": "POST /runs/multipart", "action": "status", "status": 429, "retry_after": 0, "first_n": 1},
        {"match": "POST /runs/multipart", "action": "cut_after", "first_n": 1},
        {"match": "POST /runs/multipart", "action": "status", "status": 503, "first_n": 1},
        {"match": "POST /runs/multipart", "action": "status", "status": 500, "first_n": 1},
    )
    said: list[str] = []
    assert replay(backend.endpoint, tmp_path, note=said.append).complete
    assert any("server answers 429" in text for text in said)
    assert any("no answer" in text for text in said)
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


_REPLAY = """
import sys
from pathlib import Path
from evalrunner.config import Endpoint
from evalrunner.transfer.replay import replay
replay(Endpoint(sys.argv[1], key=sys.argv[2]), Path(sys.argv[3]), note=print)
"""


@pytest.mark.parametrize("action", ["stall", "delay"])
def test_killed_in_the_middle_and_run_again_nothing_is_lost_or_doubled(
    backend: Backend, tmp_path: Path, project: str, action: str
) -> None:
    """A `stall` is killed before its request is carried out, a `delay` after it, without having heard the answer."""
    paths = traced(backend, tmp_path, project)
    wanted = promised(paths)
    for number in range(2):
        rule = {"match": "POST /runs/multipart", "action": action, "seconds": 600}
        backend.faults(
            {"match": "POST /runs/multipart", "action": "delay", "seconds": 0.01, "first_n": 1}, rule
        )
        words = [sys.executable, "-c", _REPLAY, backend.url, backend.token, str(tmp_path)]
        process = subprocess.Popen(words)
        wait_until(lambda: backend.fault_report()["rules"][1]["fired"], what=f"kill {number}")
        process.kill()
        process.wait(20)
    assert 0 < len(list(tmp_path.glob("*.json"))) < len(paths)
    backend.faults()
    result = replay(backend.endpoint, tmp_path)
    assert result.complete, result
    assert done_names(tmp_path) == [path.name for path in paths]
    assert_there(backend, project, wanted)
    assert len(backend.truth(project)["feedback"]) == FRAMES


def test_the_command_does_it_too(backend: Backend, tmp_path: Path, project: str) -> None:
    folder = tmp_path / "failed"
    wanted = promised(traced(backend, folder, project))
    (folder / "cut.json").write_bytes(b"{")
    env = backend.environment(HOME=str(tmp_path))
    done = in_process("upload", "--replay", str(folder), "--json", cwd=tmp_path, env=env)
    assert done.code == 3, done.err
    told = done.receipt
    assert (told["kept"], [one["file"] for one in told["unread"]]) == ([], ["cut.json"])
    assert told["operations"]["feedback"] == FRAMES
    assert_there(backend, project, wanted)
    (folder / "cut.json").unlink()
    again = in_process("upload", "--replay", str(folder), cwd=tmp_path, env=env)
    assert (again.code, "there are no envelopes" in again.out) == (0, True)


def test_the_key_is_ours_whatever_is_stored(backend: Backend, tmp_path: Path, project: str) -> None:
    paths = traced(backend, tmp_path, project, frames=1)
    wanted = promised(paths)
    for path in paths:
        told = orjson.loads(path.read_bytes())
        assert set(told["headers"]) == {"Content-Type", "Content-Encoding"}
        told["headers"] |= {"x-api-key": "somebody-else", "Authorization": "Bearer x", "X-Tenant-Id": "y"}
        path.write_bytes(orjson.dumps(told))
    assert replay(backend.endpoint, tmp_path).complete
    assert_there(backend, project, wanted, 1)


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
