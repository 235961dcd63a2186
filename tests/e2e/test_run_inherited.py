"""A worker has what its supervisor has now: also where an earlier run in the same process has left a forkserver."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, assert_whole

Run = Callable[..., Receipt]


@pytest.fixture
def undone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What this process is given here is taken from it again."""
    mask = os.umask(0o22)
    stack, cpus = resource.getrlimit(resource.RLIMIT_STACK), os.sched_getaffinity(0)
    yield
    monkeypatch.undo()
    time.tzset()
    tempfile.tempdir = None
    os.umask(mask)
    resource.setrlimit(resource.RLIMIT_STACK, stack)
    os.sched_setaffinity(0, cpus)


@pytest.mark.usefixtures("undone")
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_what_changes_between_two_runs_reaches_the_workers_of_the_second(
    backend: Backend, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str
) -> None:
    dataset = backend.dataset(3).name
    monkeypatch.setenv("MODEL", "one")
    monkeypatch.setenv("GONE", "there")
    told = [_told(backend, run("inheriting.py:target", dataset=dataset, start_method=method))]
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("MODEL", "two")
    monkeypatch.delenv("GONE")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    os.umask(0o27)
    cpu = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (4 * 2**20, hard))
    told.append(
        _told(
            backend, run("inheriting.py:target", dataset=dataset, start_method=method, run_dir=tmp_path / "2")
        )
    )
    assert (told[0]["model"], told[0]["gone"], told[0]["umask"]) == ("one", "there", 0o22)
    assert told[1] == {
        "model": "two",
        "gone": None,
        "zone": "JST",
        "temporary": str(tmp_path / "temporary"),
        "umask": 0o27,
        "stack": 4 * 2**20,
        "cpus": [cpu],
    }


def _told(backend: Backend, receipt: Receipt) -> dict[str, object]:
    """Return what every item of a run has told, which is the same."""
    assert receipt.exit_code == 0, receipt
    roots = assert_whole(backend.client, receipt.experiment["name"], keys=[]).roots
    first, *others = (dict(root.outputs or {}) for root in roots)
    assert all(other == first for other in others)
    return first
