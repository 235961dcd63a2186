"""What is said of a machine: for people, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from evalrunner.doctor.machine.check import Group, Status
from evalrunner.doctor.machine.judging.words import count
from evalrunner.exit_codes import ExitCode


def exit_code(groups: Sequence[Group]) -> ExitCode:
    """Return how the examination ends: a failure is what `run` would be refused for."""
    return ExitCode.USAGE if _counts(groups)[Status.FAILURE] else ExitCode.COMPLETE


def _counts(groups: Sequence[Group]) -> Counter[Status]:
    return Counter(check.status for group in groups for check in group.checks)


def document(groups: Sequence[Group]) -> dict[str, Any]:
    """Return all of it as JSON has it."""
    return {
        "checks": [
            {
                "group": group.title,
                "code": check.code,
                "status": check.status.value,
                "seen": check.seen,
                "remedy": check.remedy or None,
            }
            for group in groups
            for check in group.checks
        ],
        "verdict": verdict(groups),
        "exit_code": int(exit_code(groups)),
    }


def verdict(groups: Sequence[Group]) -> str:
    """Say it in one line, with what a run would fail over."""
    counts = _counts(groups)
    parts = [
        count(counts[status], status.value)
        for status in (Status.FAILURE, Status.WARNING, Status.NOTE)
        if counts[status]
    ]
    told = f"{count(sum(counts.values()), 'check')}, {', '.join(parts) or 'all of them ok'}"
    failed = [one.code for group in groups for one in group.checks if one.status is Status.FAILURE]
    return f"NOT FIT for a run ({', '.join(failed)}): {told}" if failed else f"FIT for a run: {told}"
