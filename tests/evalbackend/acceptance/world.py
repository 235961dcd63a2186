"""What an acceptance test is given: a server of known settings, a client, and how to read back what was written.

The axes are the two settings of zstd, the generations of run queries that a service may serve (the older
ones alone, both, the second alone, which is called SmithDB) and the prefixes under which the SDK may be
told to find the service. `ROWS` holds every generation with every prefix, and zstd so that every pair of
values of any two axes meets. `FEW` are four rows of it that hold every value of every axis, for the calls
that are the same request whatever /info says.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from langsmith import Client
from langsmith.schemas import Dataset

from tests.evalbackend.acceptance.seen import SELECTS, Seen, seen_v1, seen_v2
from tests.support.backend import Backend, eventually, running

T = TypeVar("T")
LONG_AGO = "2000-01-01T00:00:00Z"
READS = {
    "older": {"ch_query_enabled": True, "sdb_query_enabled": False},
    "both": {"ch_query_enabled": True, "sdb_query_enabled": True},
    "v2": {"ch_query_enabled": False, "sdb_query_enabled": True},
}
PREFIXES = ("", "/api", "/api/v1", "/v1")
QUIET = pytest.mark.filterwarnings("ignore:.*deprecated.*")  # half of the calls are, and are to work


@dataclass(frozen=True)
class Axes:
    """One row: is zstd advertised, which reads are served, what is appended to the server's address."""

    zstd: bool
    reads: str
    prefix: str

    def one_of(self, first: str, second: str) -> str:
        """One of the two ways of a call, by row: over all `ROWS`, each way meets every value of every axis."""
        half = list(READS).index(self.reads) + PREFIXES.index(self.prefix) // 2
        return (first, second)[half % 2]

    def __str__(self) -> str:
        return f"{'zstd' if self.zstd else 'plain'}-{self.reads}-{self.prefix or '/'}"


ROWS = [
    Axes((r + p) % 2 == 0, reads, prefix)
    for r, reads in enumerate(READS)
    for p, prefix in enumerate(PREFIXES)
]
FEW = [
    row
    for row in ROWS
    if str(row) in ("zstd-older-/", "plain-v2-/api", "plain-both-/api/v1", "zstd-both-/v1")
]


@contextlib.contextmanager
def serving(store: Path, axes: Axes) -> Iterator[Backend]:
    """A server of these axes."""
    with running(store, flags={"zstd_compression_enabled": axes.zstd, **READS[axes.reads]}) as backend:
        yield backend


@dataclass
class World:
    """A server, a client of it, and the patience (seconds) with which an answer is awaited."""

    backend: Backend
    axes: Axes
    client: Client
    patience: float = 15.0

    @property
    def older(self) -> bool:
        """Whether the older reads are served."""
        return self.axes.reads != "v2"

    @property
    def api(self) -> Any:
        """The generated client; the public properties give only its asynchronous half."""
        return self.client._get_langsmith_api_sync()

    def soon(self, ask: Callable[[], T], wanted: Callable[[T], bool]) -> T:
        """Ask until the answer is as wanted."""
        return eventually(ask, wanted, self.patience)

    def filled(self, count: int, **more: Any) -> Dataset:
        """A dataset with `count` examples."""
        dataset = self.client.create_dataset(name("data"), description="numbers")
        rows = [{"inputs": {"x": i}, "outputs": {"y": 2 * i}, **more} for i in range(count)]
        self.client.create_examples(dataset_id=dataset.id, examples=rows)
        return dataset

    def runs(self, project: str, **asked: Any) -> list[Seen]:
        """The runs of a project, by whichever reads are served; by both where both are, and then they agree."""
        told = self.client.read_project(project_name=project)
        found = (
            [seen_v1(run) for run in self.client.list_runs(project_id=told.id, **asked)]
            if self.older
            else None
        )
        if self.axes.reads == "older":
            return found or []
        words = {"error": "has_error"}
        asked = {words.get(k, k): v.upper() if k == "run_type" else v for k, v in asked.items()}
        pages = self.api.runs.query_v2(
            project_ids=[str(told.id)],
            min_start_time=LONG_AGO,
            selects=SELECTS,
            page_size=7,
            include_subtree_usage=True,  # as the older reads do unasked
            **asked,
        )
        newer = [seen_v2(run, self.backend.url) for run in pages]
        if found is not None:
            assert {run.id: run for run in newer} == {run.id: run for run in found}
        return newer

    def landed(self, project: str, count: int, **asked: Any) -> list[Seen]:
        """Exactly `count` runs of the project, all ended, each in its tree."""
        self.client.flush()
        runs = self.soon(
            lambda: self.runs(project, **asked),
            lambda found: len(found) == count and all(run.status != "pending" for run in found),
        )
        by_id = {run.id: run for run in runs}
        assert len(by_id) == count
        for run in runs:
            assert (run.parent_run_id is None) == (run.trace_id == run.id)
            if parent := by_id.get(run.parent_run_id or ""):
                assert run.dotted_order.startswith(f"{parent.dotted_order}.")
                assert run.trace_id == parent.trace_id
        return runs

    def run(self, run: Seen) -> Seen:
        """One run by its id."""
        told: dict[str, Any] = (
            {} if self.older else {"project_id": run.session_id, "start_time": run.start_time}
        )
        return seen_v1(self.client.read_run(run.id, **told))


def name(kind: str) -> str:
    """A name that nothing else has."""
    return f"{kind}-{uuid.uuid4().hex[:8]}"
