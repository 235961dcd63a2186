"""A target that shares its work among processes of its own, which look its functions up by name."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any

seen: list[int] = []


def double(number: int) -> int:
    """Be called in another process."""
    return 2 * number


class Spawned:
    """Keeps a pool, started as the method says."""

    method = "spawn"

    def __enter__(self) -> Spawned:
        self.pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(self.method))
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        seen.append(inputs["i"])
        assert pickle.loads(pickle.dumps(double)) is double
        return {"double": self.pool.submit(double, inputs["i"]).result(60)}


class Forkserved(Spawned):
    """The same with the other method that does not fork."""

    method = "forkserver"
