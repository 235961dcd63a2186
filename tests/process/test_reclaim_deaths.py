"""What is visible is let go while the run goes on, and nothing is missed if everybody dies just then."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.rig import Backend, Command, ExecutionLog, alive, read_experiment, wait_until

Start = Callable[..., Command]


def holders(log: ExecutionLog) -> list[int]:
    return sorted(pid for pid in {line.pid for line in log.begun()} if alive(pid))


@pytest.mark.parametrize("who", ["worker", "supervisor"])
def test_segments_go_and_a_kill_afterwards_costs_nothing(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path, who: str
) -> None:
    experiment = backend.experiment(backend.dataset(70))
    gate, spools = tmp_path / "gate", tmp_path / "run" / "spool"
    command = start("deadly.py:heavy", experiment, "--workers", "1", GATE=str(gate))
    log.reach(61, command=command)
    # Sixty items of 150 KB are four segments and a bit; what is visible goes without the run's end.
    wait_until(
        lambda: len(list(spools.glob("*.spool"))) == 1, timeout=60, what="all but the last segment goes"
    )
    assert not (spools / "000001.spool").exists()
    assert sum(path.stat().st_size for path in spools.glob("*.spool")) < 3_000_000
    (victim,) = holders(log)
    if who == "worker":
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not alive(victim))
        gate.touch()
    else:
        command.kill()
        wait_until(lambda: not alive(victim), what="the worker dies with its supervisor")
        gate.touch()
        command = start("deadly.py:heavy", experiment, "--workers", "1", GATE=str(gate))
    done = command.finish()
    assert done.code == 0, done.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    assert {item: times for item, times in log.counts().items() if times > 1} == {"60": 2}, "what was in hand"
    assert list(spools.glob("*.spool")) == []
