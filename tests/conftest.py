"""What holds for every test, wherever they are started from."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.support")  # what is asserted there is explained as in a test

# How long an example takes says what else the machine does; a hang has pytest's own limit.
settings.register_profile("machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("machine")

#: What takes longest comes first when several processes share the files, so that nobody works alone in the end.
LONGEST_FIRST = ("smoke", "process", "e2e", "differential", "browser", "contract", "evalbackend", "unit")
#: What would tell every run of the tests when the job ends that the tests are part of.
JOB = (
    *("SLURM_JOB_ID", "SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME", "PBS_JOBID", "PBS_WALLTIME", "LSB_JOBID"),
    *("SGE_JOB_SPOOL_DIR", "EVALRUNNER_WALLTIME"),
)


def pytest_configure() -> None:
    """Hear Ctrl-C, and let the commands under test hear it: `nohup`, a shell's `&` and some CI leave us deaf."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
    for name in JOB:
        os.environ.pop(name, None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the rooms in order under xdist; within a room the order, or the disorder, stays."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    room = nodeid.removeprefix("tests/").partition("/")[0]
    return LONGEST_FIRST.index(room) if room in LONGEST_FIRST else len(LONGEST_FIRST)
