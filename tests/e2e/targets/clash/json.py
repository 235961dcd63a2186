"""A target whose file has the name of another module."""

from __future__ import annotations

import multiprocessing
from typing import Any


def double(number: int) -> int:
    """Be called in another process."""
    return 2 * number


def target(inputs: dict[str, Any]) -> dict[str, Any]:
    """Hand it to a pool that waits for ever for a worker that can import the function."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return {"double": pool.apply_async(double, (inputs["i"],)).get(60)}
