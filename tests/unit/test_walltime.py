"""When a job ends: what may be told of it, who else tells it, and what a run then takes of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from evalrunner.clock import ManualClock
from evalrunner.config import RunConfig, TargetSpec
from evalrunner.errors import UsageError
from evalrunner.supervisor.setup.walltime import JobEnd, job_end, seconds_of, time_left

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1d2h3m4s", 93_784),
        (" 1:30:00 ", 5400),
        ("00:00:05", 5),
        ("1-12:00:00", 129_600),
        ("100:00:00", 360_000),
    ],
)
def test_a_time_is_read_as_batch_systems_and_people_write_it(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no time: write 90, 1h30m, 1:30:00"),
        ("soon", "is no time: write"),
        ("-5", "is no time"),
        ("1e3", "is no time"),
        ("nan", "is no time"),
        ("1:5:0", "is no time"),
        ("30m1h", "is no time"),
        ("1h30", "is no time"),
        ("10:00", r"is no time \(minutes or hours\?\)"),
        ("0", "is not a time between a moment and ten years"),
        ("00:00:00", "is not a time between"),
        ("9" * 400, "is not a time between"),
    ],
)
def test_what_is_no_time_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        seconds_of(text)


def test_nobody_says_when_a_process_of_no_job_ends() -> None:
    assert job_end("auto", {}, NOW) is None


def test_what_is_told_comes_first_and_counts_from_now_where_there_is_no_job() -> None:
    told = {"SLURM_JOB_END_TIME": f"{NOW + 1000:.0f}"}
    assert job_end("1h", told, NOW) == JobEnd(NOW + 3600, "--walltime")
    assert job_end("none", told, NOW) is None


@pytest.mark.parametrize(
    ("after", "found"),
    [(60, JobEnd(NOW + 60, "SLURM_JOB_END_TIME")), (0, None), (-5, None), (10**12, None)],
)
def test_slurm_tells_it_in_the_environment_and_one_that_is_over_is_another_job(
    after: int, found: JobEnd | None
) -> None:
    assert job_end("auto", {"SLURM_JOB_END_TIME": f"{NOW + after:.0f}"}, NOW) == found


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (
            "echo JobId=$4 JobName=a EndTime=2020-01-01T00:00:00 UserId=u StartTime=2027-01-15T08:00:00 "
            "EndTime=2027-01-15T09:00:00 Deadline=N/A $SLURM_TIME_FORMAT",
            True,
        ),
        ("echo JobId=7 StartTime=2027-01-15T08:00:00 EndTime=Unknown TimeLimit=UNLIMITED", False),
        ("echo slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1", False),
        ("true", False),
    ],
)
def test_an_older_slurm_is_asked(
    answer: str, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "scontrol"
    command.write_text(f'#!/bin/sh\n[ "$*" = "show job --oneliner 7" ] || exit 2\n{answer}\n')
    command.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    end = datetime(2027, 1, 15, 9).timestamp()
    found = job_end("auto", {"SLURM_JOB_ID": "7"}, end - 600)
    assert found == (JobEnd(end, "scontrol") if known else None)


@pytest.mark.parametrize("value", ["", "soon", "9" * 400, "1e9"])
def test_what_is_no_moment_tells_nothing(value: str) -> None:
    assert job_end("auto", {"SLURM_JOB_END_TIME": value}, NOW) is None
    assert job_end("auto", {"PBS_WALLTIME": value, "SLURM_JOB_START_TIME": value}, NOW) is None


def test_a_time_that_is_over_since_the_begin_of_the_job_is_a_mistake() -> None:
    job = {"SLURM_JOB_START_TIME": f"{NOW - 100:.0f}"}
    assert job_end("101", job, NOW) == JobEnd(NOW + 1, "--walltime")
    with pytest.raises(UsageError, match="--walltime 99 counts from the begin of the job, and was over at"):
        job_end("99", job, NOW)


def test_a_slurm_without_its_command_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert job_end("auto", {"SLURM_JOB_ID": "7"}, NOW) is None


_ASKS = """
import os, time, psutil
from evalrunner.supervisor.setup.walltime import job_end
began = psutil.Process(psutil.Process().ppid()).create_time()
for asked in ("auto", "100"):
    end = job_end(asked, os.environ, time.time())
    print(end.source, round(end.at - began, 3))
"""


def test_a_time_counts_from_the_begin_of_the_job() -> None:
    """The job's oldest process is the shell; we are not of the job, and older."""
    env = {**os.environ, "PBS_JOBID": "7.host", "PBS_WALLTIME": "1000"}
    # Two commands, or the shell would become the second.
    script = [sys.executable, "-c", _ASKS]
    shell = ["sh", "-c", '"$@"; true', "sh", *script]
    done = subprocess.run(shell, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["PBS_WALLTIME 1000.0", "--walltime 100.0"]


@pytest.mark.parametrize(
    ("walltime", "until", "items_end", "assumed"),
    [
        # A twentieth is kept for the rest of the job, ten seconds at most; and five for what has ended.
        ("1h", 3590, 3585, 20),
        ("100", 95, 90, 20),
        ("10", 9.5, 7.125, 4.75),
    ],
)
def test_what_a_run_takes_of_it(walltime: str, until: float, items_end: float, assumed: float) -> None:
    clock = ManualClock()
    left = time_left(RunConfig(TargetSpec(), walltime=walltime), {}, clock)
    assert left is not None
    now = clock.monotonic()
    assert (left.until - now, left.items_end - now) == pytest.approx((until, items_end))
    assert left.assumed == pytest.approx(assumed)
    assert re.fullmatch(r"the job ends at .*\d\d:\d\d:\d\d, --walltime", str(left))


def test_a_run_of_no_job_has_no_such_end() -> None:
    assert time_left(RunConfig(TargetSpec()), {}, ManualClock()) is None
