"""A real backend for the tests of whole runs: one process for all of them, a dataset and an experiment for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalrunner.api import execute
from evalrunner.config import RunConfig, TargetSpec, WorkerConfig
from evalrunner.report.receipt import Receipt
from evalrunner.supervisor.shell.progress import Silent
from tests.support.cli import in_process
from tests.support.rig import Backend, ExecutionLog, Finished, backend_in, evalrunner, shared_backend_in

TARGETS = Path(__file__).resolve().parent / "targets"


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A backend that every test may use and none may break."""
    with backend_in(tmp_path_factory.mktemp("backend")) as one:
        yield one


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Another one, which tests break: its flags and faults are not those of the others' tests."""
    with shared_backend_in(tmp_path_factory.mktemp("other")) as one:
        yield one


@pytest.fixture
def there(other: Backend) -> Backend:
    """It, without another test's faults; tests use names of their own in it, and put its flags right again."""
    other.faults()
    return other


@pytest.fixture
def log(tmp_path: Path) -> ExecutionLog:
    """What the targets of this test wrote down."""
    return ExecutionLog(tmp_path / "executions")


@pytest.fixture
def command(backend: Backend, tmp_path: Path, log: ExecutionLog) -> Callable[..., Finished]:
    """The command, in a folder of this test."""

    def run(*arguments: str, **environment: str) -> Finished:
        env = backend.environment(EXECUTIONS=str(log.path), **environment)
        return evalrunner(*arguments, cwd=tmp_path, env=env)

    return run


@pytest.fixture
def inside(backend: Backend, tmp_path: Path, log: ExecutionLog) -> Callable[..., Finished]:
    """The same command without a process of its own: for what is refused, and for plans."""

    def run(*arguments: str, **environment: str) -> Finished:
        env = backend.environment(EXECUTIONS=str(log.path), **environment)
        return in_process(*arguments, cwd=tmp_path, env=env)

    return run


@pytest.fixture
def run(
    backend: Backend, tmp_path: Path, log: ExecutionLog, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Receipt]:
    """The same from Python, which saves the start of an interpreter.

    Targets and evaluators are `file:name` below targets/; what is not a field of RunConfig is one of WorkerConfig.
    """
    for name in ("NO_PROXY", "no_proxy"):  # what a client for loopback adds to these is undone with them
        monkeypatch.setenv(name, os.environ.get(name, ""))

    def start(target: str, *evaluators: str, **options: Any) -> Receipt:
        knobs = {name: options.pop(name) for name in WorkerConfig.__dataclass_fields__ if name in options}
        summary, plan = options.pop("summary_evaluators", ()), options.pop("plan", False)
        spec = TargetSpec(
            target=f"{TARGETS}/{target}",
            evaluators=tuple(f"{TARGETS}/{one}" for one in evaluators),
            summary_evaluators=tuple(f"{TARGETS}/{one}" for one in summary),
            factory=options.pop("factory", False),
            folder=tmp_path,
        )
        kept = {"workers": 2, "run_dir": tmp_path / "run", **options}
        kept["env"] = {"EXECUTIONS": str(log.path), **kept.get("env", {})}
        config = RunConfig(spec=spec, worker=WorkerConfig(**knobs), **kept)
        return execute(config, backend.endpoint, Silent(), plan_only=plan)

    return start
