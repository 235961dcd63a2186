"""When the job ends that this command is part of: as `--walltime` says, or as the batch system does.

Slurm tells it in the environment (sbatch(1), SLURM_JOB_END_TIME) or, where it is older, by `scontrol show job`;
Torque tells how long the job may take (qsub(1), PBS_WALLTIME), and when the job began its oldest process knows.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from evalrunner.clock import Clock
from evalrunner.config import RunConfig
from evalrunner.engines.processes import eldest
from evalrunner.errors import UsageError

#: What `--walltime` may be besides a time: what the batch system says, and nothing.
AUTO, NONE = "auto", "none"
#: Of the time that is left, the part that is kept for what the job does after this command, and its most (seconds).
KEPT, MOST_KEPT = 0.05, 10.0
#: Seconds that are kept for what the workers have finished, if the time is not short.
LAST_WORDS = 5.0
#: Variables by which the processes of one job know each other.
JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_JOB_SPOOL_DIR")
#: Seconds that `scontrol` may take.
ASKING = 5.0
LONGEST = 10 * 366 * 86400.0
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)")
_UNITS = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_SECONDS = re.compile(r"()()()(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class JobEnd:
    """The end of a job.

    Attributes:
        at: seconds since the epoch.
        source: who says so.
    """

    at: float
    source: str

    @property
    def clock(self) -> str:
        """The time of day, with the date where it is not today's."""
        at = datetime.fromtimestamp(self.at)
        return at.strftime("%H:%M:%S" if at.date() == datetime.now().date() else "%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class TimeLeft:
    """What a run may take of the job that it is part of. Moments are monotonic seconds.

    Attributes:
        end: of the job.
        until: when the run must be over.
        items_end: when the last item must have ended: what is left then is for sending it, and reading it back.
        assumed: seconds that an item is taken to need as long as none has ended.
    """

    end: JobEnd
    until: float
    items_end: float
    assumed: float

    def __str__(self) -> str:
        return f"the job ends at {self.end.clock}, {self.end.source}"


def last_words(seconds: float) -> float:
    """Return what a run that has so many seconds to its end keeps for sending, and reading back, what has ended."""
    return min(LAST_WORDS, seconds / 4)


def seconds_of(text: str) -> float:
    """Read a time: 90, 90s, 1h30m, 2d, 1:30:00 or 1-12:00:00.

    Raises:
        UsageError: it is none of these.
    """
    told = text.strip()
    found = _CLOCK.fullmatch(told) or _SECONDS.fullmatch(told) or (_UNITS.fullmatch(told) if told else None)
    if found is None:
        two = " (minutes or hours?)" if re.fullmatch(r"\d+:\d\d", told) else ""
        raise UsageError(
            f"--walltime {text!r} is no time{two}: write 90, 1h30m, 1:30:00 or 1-12:00:00; or {AUTO}, or {NONE}"
        )
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = days * 86400 + hours * 3600 + minutes * 60 + seconds
    if not 0 < total <= LONGEST:
        raise UsageError(f"--walltime {text!r} is not a time between a moment and ten years")
    return total


def job_end(asked: str, environ: Mapping[str, str], now: float) -> JobEnd | None:
    """Return when the job ends, or None where nobody says.

    Args:
        asked: what `--walltime` was given; a time counts from the job's begin, or from now where there is no job.
        now: seconds since the epoch.

    Raises:
        UsageError: it is no time, or one that is over.
    """
    if asked == NONE:
        return None
    if asked != AUTO:
        return _told(asked, environ, now)
    end = _slurm_variable(environ) or _slurm_command(environ) or _torque(environ, now)
    # A job that is over tells nothing of this process: its environment was carried somewhere else. And what has no
    # limit has one that nobody will live to see.
    return end if end is not None and now < end.at < now + LONGEST else None


def time_left(config: RunConfig, environ: Mapping[str, str], clock: Clock) -> TimeLeft | None:
    """Return what a run may take, or None where its job has no known end.

    Raises:
        UsageError: `--walltime` is no time.
    """
    now = clock.utcnow().timestamp()
    if (end := job_end(config.walltime, environ, now)) is None:
        return None
    left = max(0.0, end.at - now)
    usable = left - min(MOST_KEPT, KEPT * left)
    until = clock.monotonic() + usable
    # As much as what is stopped gets to its end; but of a short time not all.
    return TimeLeft(end, until, until - last_words(usable), min(config.drain_timeout, usable / 2))


def _told(asked: str, environ: Mapping[str, str], now: float) -> JobEnd:
    end = JobEnd(_began(environ, now) + seconds_of(asked), "--walltime")
    if end.at <= now:
        raise UsageError(f"--walltime {asked} counts from the begin of the job, and was over at {end.clock}")
    return end


def _slurm_variable(environ: Mapping[str, str]) -> JobEnd | None:
    with contextlib.suppress(KeyError, ValueError, OverflowError):
        return JobEnd(float(int(environ["SLURM_JOB_END_TIME"])), "SLURM_JOB_END_TIME")
    return None


def _slurm_command(environ: Mapping[str, str]) -> JobEnd | None:
    if not (job := environ.get("SLURM_JOB_ID", "")).isdigit():
        return None
    command = ["scontrol", "show", "job", "--oneliner", job]
    # The controller may be away, the command not installed, the job unlimited ("Unknown"): then nobody says.
    with contextlib.suppress(OSError, subprocess.SubprocessError, IndexError, ValueError):
        env = {**os.environ, "SLURM_TIME_FORMAT": "standard"}
        told = subprocess.run(
            command, capture_output=True, text=True, timeout=ASKING, check=True, env=env
        ).stdout
        local = re.findall(r" StartTime=\S+ EndTime=(\S+)", told)[-1]
        return JobEnd(datetime.fromisoformat(local).timestamp(), "scontrol")
    return None


def _torque(environ: Mapping[str, str], now: float) -> JobEnd | None:
    with contextlib.suppress(KeyError, ValueError, OverflowError):
        return JobEnd(_began(environ, now) + float(int(environ["PBS_WALLTIME"])), "PBS_WALLTIME")
    return None


def _began(environ: Mapping[str, str], now: float) -> float:
    """Return when the job began that this process is part of (seconds since the epoch); now, if it is of none."""
    with contextlib.suppress(KeyError, ValueError, OverflowError):
        return float(int(environ["SLURM_JOB_START_TIME"]))
    name = next((name for name in JOBS if environ.get(name)), None)
    return now if name is None else eldest(name, environ[name])
