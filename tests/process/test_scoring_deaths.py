"""Runs that are only scored keep the promise too: nothing is lost, nothing doubled, and no target is executed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.support.rig import Backend, Command, ExecutionLog, Reading, alive, read_experiment, wait_until

TARGETS = Path(__file__).resolve().parent / "targets"
Start = Callable[..., Command]
COUNT = 12
JUDGE = ("--evaluator", f"{TARGETS}/harsh.py:judge", "--workers", "2")


def judged(log: ExecutionLog) -> Counter[str]:
    return Counter(line.item for line in log.lines() if line.event == "judge")


def executed(backend: Backend, start: Start, tmp_path: Path) -> tuple[str, Reading]:
    """Return an experiment that is complete, and lacks the judge's scores."""
    experiment = backend.experiment(backend.dataset(COUNT))
    gate = tmp_path / "gate"
    gate.touch()
    done = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate)).finish()
    assert done.code == 0, done.err
    gate.unlink()
    return experiment, read_experiment(backend.client, experiment)


def unchanged(backend: Backend, experiment: str, before: Reading, log: ExecutionLog) -> Reading:
    """Assert that there are the same runs as before, each scored once by everybody."""
    seen = read_experiment(backend.client, experiment)
    assert {run.id for run in seen.runs} == {run.id for run in before.runs}
    keys = [sorted(score.key for score in seen.feedback[root.id]) for root in seen.roots]
    assert keys == [["quality", "right"]] * COUNT
    assert set(log.counts().values()) == {1}, "no target was executed again"
    return seen


def test_an_evaluator_that_kills_every_worker_costs_its_score_and_not_the_run(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment, before = executed(backend, start, tmp_path)
    (tmp_path / "gate").touch()
    gate = str(tmp_path / "gate")
    done = start("deadly.py:waits", experiment, *JUDGE, GATE=gate, JUDGE="kills").finish()
    assert done.code == 5, done.err
    assert (done.receipt["executions"], done.receipt["scored"]) == (0, COUNT - 1)
    assert done.receipt["states"] == {"visible": COUNT}
    (error,) = done.receipt["evaluator_errors"]
    assert error["evaluator"] == "judge"
    assert "2 workers died while they scored it" in error["error"]
    assert len(error["items"]) == 1
    again = start("deadly.py:waits", experiment, *JUDGE, GATE=gate).finish()
    assert (again.code, again.receipt["executions"], again.receipt["scored"]) == (0, 0, 1), again.err
    unchanged(backend, experiment, before, log)


def test_a_worker_that_is_killed_while_it_scores_is_replaced(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment, before = executed(backend, start, tmp_path)
    command = start("deadly.py:waits", experiment, *JUDGE, GATE=str(tmp_path / "gate"))
    wait_until(lambda: len(judged(log)) >= 7, what="both workers at the gate")
    victim = next(line.pid for line in log.lines() if line.event == "judge" and int(line.item) >= 5)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not alive(victim), what="its end")
    (tmp_path / "gate").touch()
    done = command.finish()
    assert (done.code, done.receipt["executions"]) == (0, 0), done.err
    assert done.receipt["restarts"] == 1
    assert max(judged(log).values()) == 2
    unchanged(backend, experiment, before, log)


def test_a_supervisor_that_dies_while_runs_are_scored_is_gone_on_with(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment, before = executed(backend, start, tmp_path)
    command = start("deadly.py:waits", experiment, *JUDGE, GATE=str(tmp_path / "gate"))
    wait_until(lambda: len(judged(log)) >= 7, what="both workers at the gate")
    everybody = command.descendants()
    command.kill()
    wait_until(lambda: not any(map(alive, everybody)), what="the end of its workers")
    (tmp_path / "gate").touch()
    done = start("deadly.py:waits", experiment, *JUDGE, GATE=str(tmp_path / "gate")).finish()
    assert (done.code, done.receipt["executions"]) == (0, 0), done.err
    assert max(judged(log).values()) <= 2
    unchanged(backend, experiment, before, log)
