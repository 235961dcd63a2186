"""Envelopes that the real SDK writes when a service fails, sent again verbatim."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from langsmith.schemas import Run

from evalrunner.transfer.replay import Replayed, replay
from tests.support.cli import in_process
from tests.support.envelopes import FRAMES, assert_there, joined, promised, shown, traced
from tests.support.rig import Backend, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def backend(healthy: Backend) -> Backend:
    """One that may be broken."""
    return healthy


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
