"""What many deaths cost the supervisor, and what it says when the system gives no more."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.support.rig import Backend, Command, ExecutionLog, alive, read_experiment, wait_until

Start = Callable[..., Command]


def holders(log: ExecutionLog) -> list[int]:
    """Return the workers that have begun something and live."""
    return sorted(pid for pid in {line.pid for line in log.begun()} if alive(pid))


def dead(pid: int) -> bool:
    return not alive(pid)


def count(command: Command, what: str) -> int:
    """Return how many files (`fd`) or threads (`task`) a command has."""
    return len(os.listdir(f"/proc/{command.pid}/{what}"))


def test_many_deaths_leave_nothing_open(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    """Each worker but the first leaves a trace behind that it had no time to send."""
    deaths = 25
    experiment = backend.experiment(backend.dataset(deaths + 3))
    command = start(
        "deadly.py:waits_the_first_time", experiment, "--workers", "1", GATE=str(tmp_path / "gate")
    )
    measured: list[tuple[int, int]] = []
    for number in range(deaths):
        log.reach(2 * number + 1, command=command)
        measured.append((count(command, "fd"), count(command, "task")))
        (victim,) = holders(log)
        os.kill(victim, signal.SIGKILL)
        wait_until(partial(dead, victim))
    (tmp_path / "gate").touch()
    done = command.finish()
    assert done.code == 0, done.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    assert done.receipt["restarts"] == deaths
    early, late = measured[3], measured[-1]
    assert late[0] - early[0] <= 4, f"files of the supervisor: {measured}"
    assert late[1] - early[1] <= 4, f"threads of the supervisor: {measured}"


def test_too_many_open_files_is_no_full_disk(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment = backend.experiment(backend.dataset(6))
    command = start(
        "deadly.py:waits_the_first_time", experiment, "--workers", "2", GATE=str(tmp_path / "gate")
    )
    log.reach(2, command=command)
    limit = count(command, "fd") - 1
    resource.prlimit(command.pid, resource.RLIMIT_NOFILE, (limit, limit))
    os.kill(holders(log)[0], signal.SIGKILL)
    done = command.finish()
    assert done.code == 3, done.err
    assert f"more than {limit} files open" in done.err
    assert "ulimit -n" in done.err
    assert "make room" not in done.err
    # The same command goes on, with files enough.
    (tmp_path / "gate").touch()
    again = start("deadly.py:waits_the_first_time", experiment, GATE=str(tmp_path / "gate")).finish()
    assert again.code == 0, again.err
