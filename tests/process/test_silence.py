"""A service that accepts connections and never answers must not hold the command for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.rig import Backend, Command, ExecutionLog, backend_in, read_experiment

Start = Callable[..., Command]
COUNT = 20


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    """A backend of this test's own, to be broken."""
    with backend_in(tmp_path) as one:
        yield one


def test_the_service_falls_silent_in_mid_run(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment = backend.experiment(backend.dataset(COUNT))
    gate = tmp_path / "gate"
    patience = ("--delivery-deadline", "5", "--visible-deadline", "5")
    command = start("deadly.py:waits", experiment, "--workers", "2", *patience, GATE=str(gate))
    log.reach(7, command=command)
    backend.freeze()
    gate.touch()
    done = command.finish(timeout=240)
    assert done.code == 3, done.err
    assert "Traceback" not in done.err
    states = [item["state"] for item in done.receipt["items"]]
    assert len(states) == COUNT
    assert set(states) <= {"visible", "not visible", "not delivered"}
    assert "not delivered" in states
    assert all(item["reason"] for item in done.receipt["items"] if item["state"] != "visible")
    unread = [one for one in done.receipt["warnings"] if "does not answer" in one]
    assert len(unread) == 2, "neither the metadata nor the last look"

    backend.thaw()
    again = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate)).finish()
    assert (again.code, again.receipt["executions"]) == (0, 0), again.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    assert set(log.counts().values()) == {1}, "nothing was executed twice"
