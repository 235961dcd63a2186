"""Workers and supervisors that die, stop or hang: nothing is lost, nothing doubled, nothing survives."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evalrunner.supervisor.shell.signals import STOPS
from tests.support.rig import (
    Backend,
    Command,
    ExecutionLog,
    Reading,
    alive,
    read_experiment,
    wait_until,
)

Start = Callable[..., Command]


def whole(backend: Backend, experiment: str) -> Reading:
    """Assert that every example has exactly one complete run, with its score unless it failed."""
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    for root in seen.roots:
        if not root.error:
            assert [score.key for score in seen.feedback[root.id]] == ["right"]
    return seen


def logs(folder: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in (folder / "run").glob("logs/*.log"))


def holders(log: ExecutionLog) -> list[int]:
    """Return the workers that have begun something and live."""
    return sorted(pid for pid in {line.pid for line in log.begun()} if alive(pid))


@pytest.mark.parametrize(
    ("target", "how"),
    [
        ("killed", "SIGKILL"),
        ("exits", "exited with status 0"),
        ("exits_like_us", "exited with status 3"),
        ("segfaults", "SIGSEGV"),
        ("async_exits", "exited with status 0"),
    ],
)
def test_an_item_that_kills_every_worker(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path, target: str, how: str
) -> None:
    experiment = backend.experiment(backend.dataset(12))
    done = start(f"deadly.py:{target}", experiment, "--workers", "2").finish()
    assert done.code == 1, done.err
    seen = whole(backend, experiment)
    (failed,) = [root for root in seen.roots if root.error]
    assert (failed.inputs or {})["i"] == 3
    assert "2 workers died" in str(failed.error)
    assert how in str(failed.error)
    assert log.counts()["3"] == 2, "exactly as often as --max-attempts says"
    if target != "async_exits":
        assert sum(log.counts().values()) == 13, "nobody else was executed twice"
    assert max(log.counts().values()) == 2
    assert done.receipt["restarts"] in (1, 2)
    (entry,) = [item for item in done.receipt["items"] if item["state"] == "failed"]
    assert entry["example_id"] == str(failed.reference_example_id)
    assert "Traceback" not in done.err
    if target == "segfaults":
        assert "Segmentation fault" in logs(tmp_path)
        assert "string_at" in logs(tmp_path)


def test_max_attempts(backend: Backend, start: Start, log: ExecutionLog) -> None:
    experiment = backend.experiment(backend.dataset(5))
    done = start("deadly.py:killed", experiment, "--workers", "1", "--max-attempts", "3").finish()
    assert done.code == 1, done.err
    assert log.counts()["3"] == 3
    whole(backend, experiment)


@pytest.mark.parametrize(("target", "line"), [("loops", "_forever"), ("blocks_the_loop", "_asleep")])
def test_an_item_that_never_ends(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path, target: str, line: str
) -> None:
    experiment = backend.experiment(backend.dataset(8))
    done = start(f"deadly.py:{target}", experiment, "--workers", "2", "--item-timeout", "4").finish()
    assert done.code == 1, done.err
    seen = whole(backend, experiment)
    (failed,) = [root for root in seen.roots if root.error]
    assert (failed.inputs or {})["i"] == 3
    assert "longer than 4 s" in str(failed.error)
    assert log.counts()["3"] == 2
    assert f"in {line}" in logs(tmp_path), "the stack says where it hung"


def test_a_worker_is_killed_in_mid_run(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment = backend.experiment(backend.dataset(20))
    gate = tmp_path / "gate"
    command = start("deadly.py:waits", experiment, "--workers", "3", GATE=str(gate))
    # 5 are through, and each of the three holds one more.
    log.reach(8, command=command)
    victim = holders(log)[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not alive(victim))
    wait_until(lambda: "SIGKILL" in command.said(), what="a word about the death")
    gate.touch()
    done = command.finish()
    assert done.code == 0, done.err
    whole(backend, experiment)
    assert sum(log.counts().values()) == 21, "only what it had in hand"
    assert done.receipt["restarts"] == 1
    assert done.receipt["executions"] == 21
    assert any("SIGKILL" in worker["ended"] for worker in done.receipt["workers"])


def test_a_worker_that_is_stopped(backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path) -> None:
    experiment = backend.experiment(backend.dataset(12))
    gate = tmp_path / "gate"
    command = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate))
    log.reach(7, command=command)
    victim = holders(log)[0]
    os.kill(victim, signal.SIGSTOP)
    # It may be the batch system that stops a job, so this takes its ten seconds.
    wait_until(lambda: not alive(victim), timeout=90, what="the end of a stopped worker")
    gate.touch()
    done = command.finish()
    assert done.code == 0, done.err
    whole(backend, experiment)
    assert sum(log.counts().values()) == 13


def test_a_job_that_is_suspended_costs_no_item(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    """As `scontrol suspend` does it: all of its processes are stopped, for longer than an item may take."""
    experiment = backend.experiment(backend.dataset(12))
    gate = tmp_path / "gate"
    command = start("deadly.py:waits", experiment, "--workers", "2", "--item-timeout", "10", GATE=str(gate))
    assert log.reach(7, command=command)
    everybody = [command.pid, *command.descendants()]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    threading.Event().wait(12)
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
    threading.Event().wait(2)  # it has looked at what its workers do
    gate.touch()
    done = command.finish()
    assert (done.code, done.receipt["restarts"]) == (0, 0), done.err
    assert set(log.counts().values()) == {1}
    whole(backend, experiment)


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_the_supervisor_is_killed_and_nobody_survives_it(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path, method: str
) -> None:
    experiment = backend.experiment(backend.dataset(20))
    gate = tmp_path / "gate"
    options = ("--workers", "3", "--start-method", method)
    command = start("deadly.py:waits", experiment, *options, GATE=str(gate))
    log.reach(8, command=command)
    spools = tmp_path / "run" / "spool"
    wait_until(lambda: sum(p.stat().st_size > 4096 for p in spools.iterdir()) > 0, what="a finished item")
    everybody = command.descendants()
    assert set(holders(log)) <= set(everybody)
    command.kill()
    wait_until(lambda: not any(map(alive, everybody)), what="the end of every process")

    gate.touch()
    again = start("deadly.py:waits", experiment, *options, GATE=str(gate)).finish()
    assert again.code == 0, again.err
    whole(backend, experiment)
    repeated = sum(count - 1 for count in log.counts().values())
    assert repeated <= 3, "only what was in hand"
    third = start("deadly.py:waits", experiment, *options, GATE=str(gate)).finish()
    assert (third.code, third.receipt["executions"]) == (0, 0), third.err


@pytest.mark.parametrize("target", ["waits", "holds_the_gil"])
def test_not_even_a_worker_that_cannot_hear_survives_its_supervisor(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path, target: str
) -> None:
    experiment = backend.experiment(backend.dataset(8))
    command = start(f"deadly.py:{target}", experiment, "--workers", "2", GATE=str(tmp_path / "gate"))
    log.reach(7 if target == "waits" else 2, command=command)
    everybody = command.descendants()
    if target == "waits":
        os.kill(holders(log)[0], signal.SIGSTOP)
    command.kill()
    try:
        wait_until(lambda: not any(map(alive, everybody)), what="the end of every process")
    finally:
        for pid in filter(alive, everybody):
            os.kill(pid, signal.SIGKILL)


def test_what_the_target_has_started_dies_with_it(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment = backend.experiment(backend.dataset(2))
    command = start("deadly.py:has_children", experiment, "--workers", "2", GATE=str(tmp_path / "gate"))
    log.reach(2, command=command)
    children = [int(line.item) for line in log.lines() if line.event == "child"]
    assert len(children) == 2
    assert all(map(alive, children))
    command.kill()
    wait_until(lambda: not any(map(alive, children)), what="the end of the target's own processes")


@pytest.mark.parametrize(
    ("whom", "number"),
    [("supervisor", signal.SIGINT), ("supervisor", signal.SIGTERM), *(("group", one) for one in STOPS)],
)
def test_one_signal_ends_the_run_in_order(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path, number: signal.Signals, whom: str
) -> None:
    experiment = backend.experiment(backend.dataset(20))
    gate = tmp_path / "gate"
    command = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate))
    log.reach(7, command=command)
    if whom == "group":  # a closed terminal, a batch system
        os.killpg(command.pid, number)
    else:
        command.signal(number)
    wait_until(lambda: "Z stopping: produced" in command.said(), what="a word that it heard")
    assert f"stopping ({number.name})" in command.said()
    assert "Ctrl-C kills what is in flight" in command.said()
    gate.touch()
    done = command.finish()
    assert done.code == 4, done.err
    states = [item["state"] for item in done.receipt["items"]]
    begun = len(log.begun())
    assert states.count("visible") == begun, "what was in flight was finished"
    assert states.count("not run") == 20 - begun > 0
    seen = read_experiment(backend.client, experiment)
    assert (len(seen.roots), seen.pending) == (begun, [])
    assert experiment in done.receipt["command"]
    assert "Traceback" not in done.err

    again = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate)).finish()
    assert (again.code, again.receipt["executions"]) == (0, 20 - begun), again.err
    whole(backend, experiment)
    assert set(log.counts().values()) == {1}


@pytest.mark.parametrize("trouble", ["a long item", "a service that hangs", "a service that is away"])
def test_a_stop_has_an_end_whatever_goes_on(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path, trouble: str
) -> None:
    """The gate stays shut: an item in flight would go on for ever."""
    experiment = backend.experiment(backend.dataset(20))
    gate = tmp_path / "gate"
    words = ("--workers", "2", "--drain-timeout", "4")
    command = start("deadly.py:waits", experiment, *words, GATE=str(gate))
    log.reach(7, command=command)
    if trouble == "a service that hangs":
        backend.freeze()
    elif trouble == "a service that is away":
        backend.stop()
    command.signal(signal.SIGUSR1)
    done = command.finish()
    if trouble == "a service that hangs":
        backend.thaw()
    elif trouble == "a service that is away":
        backend.start()
    assert done.code == 4, done.err
    assert "stopping (SIGUSR1)" in done.err
    assert "Traceback" not in done.err
    assert len(done.receipt["items"]) == 20
    reasons = [str(item["reason"]) for item in done.receipt["items"]]
    assert sum("while it was being executed" in reason for reason in reasons) == 2
    assert done.receipt["executions"] == len(log.begun())
    gate.touch()
    again = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate)).finish()
    assert again.code == 0, again.err
    whole(backend, experiment)
    counts = log.counts()
    assert sum(count - 1 for count in counts.values()) <= 2, "only what was in flight is executed again"


def test_a_job_that_ends_is_left_in_order_before_its_end(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    """Nobody sends a signal, and an item in flight would go on for ever."""
    experiment = backend.experiment(backend.dataset(20))
    gate = tmp_path / "gate"
    ends = int(time.time()) + 40
    words = ("--workers", "2", "--drain-timeout", "3")
    command = start("deadly.py:waits", experiment, *words, GATE=str(gate), SLURM_JOB_END_TIME=str(ends))
    assert log.reach(7, command=command)
    done = command.finish()
    assert time.time() < ends, "Slurm would have killed it"
    assert done.code == 4, done.err
    clock = time.strftime("%H:%M:%S", time.localtime(ends))
    assert f"stopping (the job ends at {clock}, SLURM_JOB_END_TIME): nothing new is begun" in done.err
    reasons = [str(item["reason"]) for item in done.receipt["items"]]
    assert sum("while it was being executed" in reason for reason in reasons) == 2
    gate.touch()
    again = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate)).finish()
    assert again.code == 0, again.err
    whole(backend, experiment)


@pytest.mark.parametrize(
    ("number", "stalls"),
    [
        (signal.SIGTERM, "GET /sessions*"),
        (signal.SIGHUP, "POST /runs/query"),
        (signal.SIGUSR1, "POST /runs/query"),
    ],
)
def test_a_stop_before_anything_has_begun_interrupts(
    backend: Backend, start: Start, number: signal.Signals, stalls: str
) -> None:
    experiment = backend.experiment(backend.dataset(3))
    backend.faults({"match": stalls, "action": "stall", "seconds": 600})
    command = start("deadly.py:exits", experiment, "--workers", "1")
    wait_until(lambda: backend.fault_report()["rules"][0]["fired"], what="the question")
    command.signal(number)
    done = command.finish()
    backend.faults()
    assert (done.code, done.err.splitlines()[-1]) == (4, "error: interrupted")
    assert read_experiment(backend.client, experiment).roots == []


def test_two_signals_end_it_now(backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path) -> None:
    experiment = backend.experiment(backend.dataset(20))
    gate = tmp_path / "gate"
    command = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate))
    log.reach(7, command=command)
    everybody = command.descendants()
    command.signal(signal.SIGINT)
    wait_until(lambda: "stopping" in command.said(), what="a word that it heard")
    command.signal(signal.SIGINT)
    done = command.finish()
    assert done.code == 4, done.err
    assert "Traceback" not in done.err
    wait_until(lambda: not any(map(alive, everybody)))
    gate.touch()
    again = start("deadly.py:waits", experiment, "--workers", "2", GATE=str(gate)).finish()
    assert again.code == 0, again.err
    whole(backend, experiment)
    assert sum(count - 1 for count in log.counts().values()) <= 2


def test_a_signal_while_the_whole_is_judged(backend: Backend, start: Start, log: ExecutionLog) -> None:
    experiment = backend.experiment(backend.dataset(3))
    judge = ("--summary-evaluator", str(Path(__file__).parent / "targets" / "deadly.py:never_judges"))
    command = start("deadly.py:exits", experiment, "--workers", "1", *judge)
    wait_until(lambda: any(line.event == "judging" for line in log.lines()), what="the summary")
    command.signal(signal.SIGINT)
    done = command.finish()
    assert done.code == 5, done.err
    (error,) = done.receipt["evaluator_errors"]
    assert error["error"] == "it was interrupted; the same command runs them again"


def test_a_worker_that_dies_while_it_loads(
    backend: Backend, start: Start, log: ExecutionLog, tmp_path: Path
) -> None:
    experiment = backend.experiment(backend.dataset(3))
    module = tmp_path / "dies.py"
    module.write_text("import os\nos._exit(9)\n")
    done = start(f"{module}:target", experiment, "--workers", "2").finish()
    assert done.code == 2, done.err
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert re.search(r"no worker lived long enough to load the target", sentence)
    assert read_experiment(backend.client, experiment).roots == []


def test_an_acknowledgment_that_comes_without_its_reports(
    backend: Backend, start: Start, log: ExecutionLog
) -> None:
    """What a worker has finished is in its spool; to cancel it would be to execute it twice."""
    experiment = backend.experiment(backend.dataset(12))
    command = start("deadly.py:loses_its_reports", experiment, "--workers", "1")
    log.reach(4, command=command)
    command.signal(signal.SIGINT)
    done = command.finish()
    assert done.code == 4, done.err
    assert "its spool is read" in done.err
    assert done.receipt["states"]["visible"] == 4, "finished, and known to be"
    again = start("deadly.py:loses_its_reports", experiment, "--workers", "2").finish()
    assert again.code == 0, again.err
    whole(backend, experiment)
    assert set(log.counts().values()) == {1}, "nothing was executed twice"
