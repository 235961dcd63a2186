"""One server per setting of /info for all the tests here; per test a client of its own, through one prefix."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.evalbackend.acceptance.world import FEW, ROWS, Axes, World, serving
from tests.support.backend import Backend


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Axes], Backend]]:
    """Starts the server of these axes, where it is not up yet."""
    with contextlib.ExitStack() as stack:
        up: dict[tuple[bool, str], Backend] = {}

        def server(axes: Axes) -> Backend:
            key = (axes.zstd, axes.reads)
            if key not in up:
                folder = tmp_path_factory.mktemp("acceptance")
                up[key] = stack.enter_context(serving(folder / "backend.db", axes))
            return up[key]

        yield server


@pytest.fixture(params=ROWS, ids=str)
def world(servers: Callable[[Axes], Backend], request: pytest.FixtureRequest) -> Iterator[World]:
    """Every row of the covering array in turn: a test that takes this meets every pair of values."""
    with _client(servers, request.param) as one:
        yield one


@pytest.fixture(params=FEW, ids=str)
def sample(servers: Callable[[Axes], Backend], request: pytest.FixtureRequest) -> Iterator[World]:
    """A few rows in turn: a test that takes this meets every value of every axis."""
    with _client(servers, request.param) as one:
        yield one


@contextlib.contextmanager
def _client(servers: Callable[[Axes], Backend], axes: Axes) -> Iterator[World]:
    backend = servers(axes)
    with backend.client(api_url=backend.url + axes.prefix) as client:
        yield World(backend, axes, client)
