"""What a target does to its own worker costs that worker, and never the supervisor's attention."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.rig import Backend, Command, ExecutionLog, alive, read_experiment, wait_until

Start = Callable[..., Command]


def test_an_item_that_takes_the_gil_at_once_is_timed_all_the_same(backend: Backend, start: Start) -> None:
    experiment = backend.experiment(backend.dataset(7))
    options = ("--workers", "2", "--item-timeout", "1.5", "--max-attempts", "1")
    done = start("spoils.py:regex", experiment, *options).finish()
    assert done.code == 1, done.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    slow = [root for root in seen.roots if root.error]
    assert sorted((root.inputs or {})["i"] for root in slow) == [1, 2, 3, 4, 5, 6]
    assert all("longer than 1.5 s" in str(root.error) for root in slow)


def test_a_target_that_writes_into_every_pipe_costs_its_own_worker(
    backend: Backend, start: Start, log: ExecutionLog
) -> None:
    experiment = backend.experiment(backend.dataset(12))
    done = start("spoils.py:scribbles", experiment, "--workers", "2").finish()
    assert done.code in (0, 1), done.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    assert {(root.inputs or {})["i"] for root in seen.roots if root.error} <= {3}
    assert "no message" in done.err
    assert max(log.counts().values()) <= 2
    assert "Traceback" not in done.err


@pytest.mark.parametrize("at_once", ["1", "3"])
def test_a_target_that_closes_every_descriptor_costs_its_own_item(
    backend: Backend, start: Start, at_once: str
) -> None:
    """Its worker's event loop would never hear that the call has ended: nobody could, but for who looks after it."""
    experiment = backend.experiment(backend.dataset(8))
    options = ("--workers", "1", "--max-concurrency", at_once)
    done = start("spoils.py:closes_every_descriptor", experiment, *options).finish()
    assert done.code == 1, done.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    assert {(root.inputs or {})["i"] for root in seen.roots if root.error} == {3}


def test_a_worker_that_is_stopped_in_the_middle_of_a_report_holds_up_nobody(
    backend: Backend, start: Start, log: ExecutionLog
) -> None:
    experiment = backend.experiment(backend.dataset(8))
    command = start("spoils.py:stops_in_mid_report", experiment, "--workers", "2")
    log.reach(8, command=command)
    command.signal(signal.SIGINT)
    wait_until(lambda: "stopping" in command.said(), what="a word that it heard")
    command.signal(signal.SIGINT)
    done = command.finish()
    assert done.code == 4, done.err
    states = [item["state"] for item in done.receipt["items"]]
    # After a second signal nothing is asked any more: what was sent a moment ago has not come back.
    assert set(states) <= {"visible", "not run", "not visible", "not delivered"}
    assert states.count("not run") >= 1


def test_a_place_that_cannot_start_does_not_end_the_run(backend: Backend, start: Start) -> None:
    experiment = backend.experiment(backend.dataset(8))
    done = start("spoils.py:Picky", experiment, "--workers", "2").finish()
    assert done.code == 0, done.err
    assert "worker 0 could not start" in done.err
    assert "no GPU here" in done.err
    assert read_experiment(backend.client, experiment).lost() == 0


def test_a_run_ends_when_no_place_can_start(backend: Backend, start: Start) -> None:
    experiment = backend.experiment(backend.dataset(3))
    done = start("spoils.py:Picky", experiment, "--workers", "1").finish()
    assert done.code == 2, done.err
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "no GPU here" in sentence
    assert read_experiment(backend.client, experiment).roots == []


def test_a_set_up_that_hangs_has_a_limit(backend: Backend, start: Start, tmp_path: Path) -> None:
    experiment = backend.experiment(backend.dataset(3))
    done = start("spoils.py:Hangs", experiment, "--workers", "2", "--setup-timeout", "2").finish()
    assert done.code == 2, done.err
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "still loading after 2 s (--setup-timeout)" in sentence
    logs = "\n".join(path.read_text(errors="replace") for path in (tmp_path / "run").glob("logs/*.log"))
    assert "in _wait_for_ever" in logs, "the stack says where it hung"
    assert read_experiment(backend.client, experiment).roots == []


def test_a_worker_that_cannot_write_its_spool_says_so(
    backend: Backend, start: Start, log: ExecutionLog
) -> None:
    experiment = backend.experiment(backend.dataset(8))
    done = start("spoils.py:breaks_the_spool", experiment, "--workers", "1").finish()
    assert done.code == 0, done.err
    assert "ended itself: its spool cannot be written" in done.err
    assert "memory" not in done.err
    assert read_experiment(backend.client, experiment).lost() == 0
    assert max(log.counts().values()) == 2


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
@pytest.mark.parametrize("then", ["end", "die"])
def test_daemons_of_targets_do_not_outlive_the_run(
    backend: Backend, start: Start, log: ExecutionLog, method: str, then: str
) -> None:
    experiment = backend.experiment(backend.dataset(6))
    options = ("--workers", "1", "--start-method", method)
    done = start("spoils.py:leaves_daemons", experiment, *options, THEN=then).finish()
    children = [int(line.item) for line in log.lines() if line.event == "child"]
    try:
        assert done.code == 0, done.err
        assert len(children) == 3
        found = children if method == "forkserver" else [children[0], children[2]]
        wait_until(lambda: not any(map(alive, found)), timeout=60, what="the end of every daemon")
        warnings = " ".join(done.receipt["warnings"])
        assert all(f"(pid {pid})" in warnings for pid in found), warnings
        assert "Traceback" not in done.err
        assert "unexpected pid" not in done.err
    finally:
        for pid in filter(alive, children):
            os.kill(pid, signal.SIGKILL)


# -- spoilt processes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [
    "descriptors", "folder", "recursion", "output", "environment", "memory", "json", "network", "timeout",
])  # fmt: skip
def test_an_item_that_spoils_its_process_costs_no_other_item(
    backend: Backend, start: Start, log: ExecutionLog, how: str
) -> None:
    experiment = backend.experiment(backend.dataset(14))
    done = start("spoils.py:spoilt", experiment, "--workers", "1", SPOIL=how).finish()
    assert done.code == 0, done.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    assert [root.error for root in seen.roots if root.error] == []
    assert max(log.counts().values()) <= 2
    assert "Traceback" not in done.err


def test_a_closed_event_loop_is_a_spoilt_process(backend: Backend, start: Start, log: ExecutionLog) -> None:
    experiment = backend.experiment(backend.dataset(14))
    done = start("spoils.py:closes_the_loop", experiment, "--workers", "2").finish()
    assert done.code == 0, done.err
    assert read_experiment(backend.client, experiment).lost() == 0
    assert max(log.counts().values()) <= 2
    assert any(
        "was replaced: items failed in it with RuntimeError" in one for one in done.receipt["warnings"]
    )


def test_a_target_that_fails_like_a_spoilt_process_everywhere_ends_with_failures(
    backend: Backend, start: Start, log: ExecutionLog
) -> None:
    experiment = backend.experiment(backend.dataset(20))
    done = start("spoils.py:always_out_of_memory", experiment, "--workers", "2").finish()
    assert done.code == 1, done.err
    seen = read_experiment(backend.client, experiment)
    assert (seen.lost(), seen.duplicates(), seen.pending) == (0, 0, [])
    assert sum("MemoryError" in str(root.error) for root in seen.roots) == 18
    assert max(log.counts().values()) <= 2
    assert sum(log.counts().values()) <= 20 + 2 * 3, "a kind of error is tried once in each place at most"


def test_with_one_attempt_a_failure_counts_at_once(backend: Backend, start: Start, log: ExecutionLog) -> None:
    experiment = backend.experiment(backend.dataset(6))
    options = ("--workers", "1", "--max-attempts", "1")
    done = start("spoils.py:always_out_of_memory", experiment, *options).finish()
    assert done.code == 1, done.err
    assert set(log.counts().values()) == {1}
    assert done.receipt["restarts"] == 0
