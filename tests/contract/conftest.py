"""What the tests of going on and of the end begin with: a server for a module, and what a command has left on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.leftover import Leftover, leftover
from tests.support.rig import Backend, backend_in


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with backend_in(tmp_path_factory.mktemp("backend")) as one:
        yield one


@pytest.fixture
def left(backend: Backend, tmp_path: Path) -> Iterator[Callable[..., Leftover]]:
    with ExitStack() as stack:

        def make(count: int, **config: Any) -> Leftover:
            return stack.enter_context(leftover(tmp_path / "run", backend, count, **config))

        yield make
