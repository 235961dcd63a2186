"""Envelopes that the real SDK writes when a service fails, what they promise, and what of it has come to be."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import zstandard
from langsmith.schemas import Run

from evalrunner.transfer.replay.envelopes import read
from tests.support.rig import Backend

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
