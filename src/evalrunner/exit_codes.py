"""The exit codes of every command, and their texts: `--help` prints this table, the README copies it."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended, for scripts."""

    COMPLETE = 0
    FAILED = 1
    USAGE = 2
    INCOMPLETE = 3
    INTERRUPTED = 4
    EVALUATORS = 5
    INTERNAL = 70
    BUSY = 75


TEXTS: dict[ExitCode, str] = {
    ExitCode.COMPLETE: "complete: every planned item was read back from the experiment",
    ExitCode.FAILED: "items failed: their target raised or their worker died; all is delivered",
    ExitCode.USAGE: "usage or configuration error; nothing was executed",
    ExitCode.INCOMPLETE: "not all is delivered, visible or there (the same command goes on), or more than planned",
    ExitCode.INTERRUPTED: "interrupted; the same command goes on (a download begins anew)",
    ExitCode.EVALUATORS: "evaluators failed; all is visible, and a command that names them scores it again",
    ExitCode.INTERNAL: "internal error of evalrunner; the message names the traceback's file",
    ExitCode.BUSY: "busy: another command runs this experiment, or has taken it over; try again later",
}


def lines() -> list[str]:
    """Return the table, one line per code."""
    return [f"{int(code):>4}  {text}" for code, text in TEXTS.items()]
