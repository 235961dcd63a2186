"""Traces that belong to no item, when everybody dies before they are sent: the next command answers for them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.rig import Backend, Command, ExecutionLog, alive, read_experiment, wait_until

Start = Callable[..., Command]
SENDING = {"match": "POST /runs/multipart", "action": "status"}
TARGET = Path(__file__).resolve().parents[1] / "e2e" / "targets" / "loose.py"


@pytest.fixture
def faults(backend: Backend) -> Iterator[Callable[..., None]]:
    """Make the service misbehave; it recovers at the test's end."""
    yield backend.faults
    backend.faults()


@pytest.mark.parametrize("live", [(), ("--live",)], ids=["whole", "live"])
def test_what_was_traced_outside_the_items_survives_the_supervisor(
    backend: Backend,
    start: Start,
    log: ExecutionLog,
    tmp_path: Path,
    faults: Callable[..., None],
    live: tuple[str, ...],
) -> None:
    experiment, marker = backend.experiment(backend.dataset(4)), uuid.uuid4().hex
    gate = tmp_path / "gate"
    options = ("--workers", "1", "--visible-deadline", "2", *live)
    environment = {"GATE": str(gate), "MARKER": marker, "LANGSMITH_TRACING": "true"}
    faults({**SENDING, "status": 503})
    command = start(f"{TARGET}:notes_background_and_gate", experiment, *options, **environment)
    # The second item is at work: what the first one and its thread have traced is in the spool, and unsent.
    log.reach(2, command=command)
    everybody = command.descendants()
    command.kill()
    wait_until(lambda: not any(map(alive, everybody)), what="the worker dies with its supervisor")
    gate.touch()
    faults({**SENDING, "status": 422, "carries": f"{marker}-0"})
    again = start(f"{TARGET}:notes_background_and_gate", experiment, *options, **environment).finish()
    assert again.code == 3, again.err
    assert "outside the items" in again.receipt["verdict"]
    assert {one["state"] for one in again.receipt["loose"]["missing"]} == {"refused"}
    assert again.receipt["states"] == {"visible": 3, "already complete": 1}
    assert list((tmp_path / "run" / "spool").glob("*.spool"))
    faults()
    healed = start(f"{TARGET}:notes_background_and_gate", experiment, *options, **environment).finish()
    assert (healed.code, healed.receipt["loose"]["missing"]) == (0, []), healed.err
    assert list((tmp_path / "run" / "spool").glob("*.spool")) == []
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
