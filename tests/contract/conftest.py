"""What the tests of a subject share: sender and transport, uploads, worker processes, what a run leaves behind."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import (
    KEY,
    Desk,
    Service,
)
from tests.support.leftover import Leftover, leftover
from tests.support.rig import Backend, shared_backend_in
from tests.support.uploads import Desk as Uploads
from tests.support.workers import Room


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def open_desk(service: Service) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def open_one(**options: Any) -> Desk:
        desks.append(Desk(service, **options))
        return desks[-1]

    yield open_one
    for desk in desks:
        assert desk.sender.stop(10)
        assert KEY not in repr((desk.notes, desk.refused))


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A backend that is whole after every test."""
    with shared_backend_in(tmp_path_factory.mktemp("backend")) as one:
        yield one


@pytest.fixture
def left(backend: Backend, tmp_path: Path) -> Iterator[Callable[..., Leftover]]:
    with ExitStack() as stack:

        def make(count: int, **config: Any) -> Leftover:
            return stack.enter_context(leftover(tmp_path / "run", backend, count, **config))

        yield make


@pytest.fixture
def desk(backend: Backend, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Uploads]:
    """Uploads into a project of this test's own."""
    yield Uploads(backend, tmp_path, f"{request.node.name}-{random.randrange(1 << 40):x}")
    backend.faults()


@pytest.fixture(scope="module", params=["forkserver", "spawn"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def room(method: str, tmp_path: Path) -> Iterator[Room]:
    made = Room(method, tmp_path)
    yield made
    for worker in made.started:
        worker.kill()
        worker.close()
    made.engine.close()
