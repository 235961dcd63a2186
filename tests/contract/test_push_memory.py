"""What a push holds in memory does not grow with the number of runs: what it sends, and what it finds there."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

from evalrunner.transfer.push.push import push
from evalrunner.transfer.push.summary import Pushed, PushOptions
from evalrunner.transfer.upload import outbox
from scripts.bench.push import EXPERIMENT, fill
from tests.support.rig import Backend, backend_in

FEW, MANY = 1500, 6000


def pushed(here: Backend, there: Backend, root: Path) -> tuple[int, Pushed]:
    """Push; return the most that was held at a time, beside what was held before, and the summary."""
    gc.collect()
    tracemalloc.start()
    try:
        done = push(here.endpoint, there.endpoint, PushOptions(EXPERIMENT, root=root), lambda _: None)
        return tracemalloc.get_traced_memory()[1], done
    finally:
        tracemalloc.stop()


def test_what_is_held_does_not_grow_with_the_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is under way has a bound of its own, which these few would not reach.
    monkeypatch.setattr(outbox, "AHEAD_BYTES", 100_000)
    held: dict[int, list[int]] = {}
    for runs in (FEW, MANY):
        places = [tmp_path / f"{runs} {name}" for name in ("here", "there", "root", "other root")]
        for place in places[:2]:
            place.mkdir()
        with backend_in(places[0]) as here, backend_in(places[1]) as there:
            fill(here, runs)
            if runs == FEW:  # what is made once for all, and stays
                push(here.endpoint, there.endpoint, PushOptions(EXPERIMENT, root=places[2]), lambda _: None)
                there.client.delete_project(project_name=EXPERIMENT)
            first, done = pushed(here, there, places[2])
            assert (done.complete, done.sent["runs"]) == (True, runs)
            again, done = pushed(here, there, places[3])
            assert (done.complete, done.sent["runs"]) == (True, 0)
            held[runs] = [first, again]
    for few, many in zip(held[FEW], held[MANY], strict=True):
        assert many < 1.3 * few, held
