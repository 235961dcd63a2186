"""The command `download`, and the runs of its file, each field as its bytes."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec
import orjson

from tests.support.cli import in_process
from tests.support.rig import Backend, Command, Finished

#: What a file has of a run, in its order.
FIELDS = [
    *(
        "id",
        "trace_id",
        "parent_run_id",
        "name",
        "run_type",
        "start_time",
        "end_time",
        "inputs",
        "outputs",
        "error",
    ),
    *("extra", "tags", "events", "serialized", "reference_example_id", "attachments", "feedback"),
]


def download(backend: Backend, folder: Path, *arguments: str) -> Finished:
    return in_process("download", *arguments, cwd=folder, env=backend.environment(HOME=str(folder)))


def start(backend: Backend, folder: Path, *arguments: str) -> Command:
    return Command(["download", *arguments], cwd=folder, env=backend.environment(HOME=str(folder)))


def new_project() -> str:
    return f"p-{secrets.token_hex(4)}"


def lines(data: bytes) -> list[dict[str, bytes]]:
    """The runs of a file, each field as its bytes."""
    assert data.endswith(b"\n") or not data
    found = [msgspec.json.decode(one, type=dict[str, msgspec.Raw]) for one in data.split(b"\n")[:-1]]
    assert all(list(one) == FIELDS for one in found)
    return [{name: bytes(raw) for name, raw in one.items()} for one in found]


def ids(data: bytes) -> list[str]:
    return [orjson.loads(one["id"]) for one in lines(data)]
