"""Environment variables of the LangSmith SDK: those that cost traces, and under which calls; those that look so, too.

Each sentence was tried with langsmith 0.14.17 against the local backend, and tests/e2e/test_variables.py tries
it again. A variable is a warning only where a call that evaluates loses something; what costs nothing there is a
note, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.judging import decoys, losses
from evalrunner.doctor.machine.judging.environ import Surroundings


def judge(environ: Mapping[str, str], around: Surroundings) -> Iterator[Check]:
    """Yield a check for each variable that is worth a word; one that says so if there is none."""
    found = [check for rule in (*losses.RULES, *decoys.RULES) for check in rule(environ, around)]
    yield from found or [Check("variables", Status.OK, "none of the SDK's that costs traces")]
