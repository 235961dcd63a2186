"""What the tests of the sender and of its transport share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.desk import (
    KEY,
    Desk,
    Service,
)


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
