"""`evalrunner doctor` without an experiment: is this machine fit for a run."""

from __future__ import annotations

from evalrunner.cli.output import Output
from evalrunner.exit_codes import ExitCode


def machine(*, local: bool, store: str | None, json: bool, quiet: bool) -> ExitCode:
    """Look at the machine, say how each thing stands, and return the exit code."""
    from evalrunner.doctor.machine import told  # noqa: PLC0415 - the SDK costs 0.3 s
    from evalrunner.doctor.machine.examine import examine  # noqa: PLC0415 - as above

    output = Output(json=json, quiet=quiet)
    groups = []
    for group in examine():
        groups.append(group)
        if not json:
            for check in group.checks:
                output.detail(f"{check.status.value:<8} {check.code}: {check.seen}")
                if check.remedy:
                    output.detail(f"         {check.remedy}")
    if json:
        output.document(told.document(groups))
    else:
        output.line(told.verdict(groups))
    return told.exit_code(groups)
