"""A real backend for the tests that kill processes, and commands that can be killed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.rig import Backend, Command, ExecutionLog, alive, shared_backend_in, wait_until

TARGETS = Path(__file__).resolve().parent / "targets"
WORKLOAD = Path(__file__).resolve().parents[2] / "scripts" / "chaos" / "workload.py"


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A backend that every test may use and none may break."""
    with shared_backend_in(tmp_path_factory.mktemp("backend")) as one:
        yield one


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Another one, which tests break: its flags and faults are not those of the others' tests."""
    with shared_backend_in(tmp_path_factory.mktemp("other")) as one:
        yield one


@pytest.fixture
def healthy(other: Backend) -> Iterator[Backend]:
    """It, healthy, before a test and after it."""
    other.faults()
    other.flags(zstd_compression_enabled=True)
    yield other
    other.faults()
    other.flags(zstd_compression_enabled=True)


@pytest.fixture
def project() -> str:
    """The name of a project of this test's own."""
    return f"p-{secrets.token_hex(4)}"


@pytest.fixture
def log(tmp_path: Path) -> ExecutionLog:
    """What the targets of this test wrote down."""
    return ExecutionLog(tmp_path / "executions")


@pytest.fixture
def start(backend: Backend, tmp_path: Path, log: ExecutionLog) -> Iterator[Callable[..., Command]]:
    """Start `evalrunner --experiment NAME` with a target of targets/; nothing of it outlives the test."""
    commands: list[Command] = []
    seen: list[int] = []

    def run(target: str, experiment: str, *options: str, **environment: str) -> Command:
        command = Command(
            [
                *("--experiment", experiment, "--json", "--run-dir", str(tmp_path / "run")),
                *("--target", target if "/" in target else f"{TARGETS}/{target}"),
                *("--evaluator", f"{WORKLOAD}:right", *options),
            ],
            cwd=tmp_path,
            env=backend.environment(CHAOS_LOG=str(log.path), **environment),
        )
        commands.append(command)
        return command

    yield run
    for command in commands:
        seen += command.descendants()
        if command.process.poll() is None:
            command.kill()
    wait_until(lambda: not any(map(alive, seen)), what="the end of every process")
