"""What every command has around it: errors become one sentence and an exit code, never a traceback."""

from __future__ import annotations

import os
import tempfile
import traceback
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from evalrunner.cli.output import Output
from evalrunner.cli.streams import was_lost
from evalrunner.clock import SYSTEM
from evalrunner.errors import EvalrunnerError, ExperimentBusy, RunBroken, UsageError
from evalrunner.exit_codes import ExitCode, lines

LOG = Path(".evalrunner") / "internal-errors.log"
_SECRETS = ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY", "EVALRUNNER_TOKEN")


def plain_flags(params: list[Any]) -> list[Any]:
    """Return a command's parameters, a switch without the type that typer would print behind it: it takes none."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params


class Guarded(TyperCommand):
    """A command that returns its exit code."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return its parameters as the help shows them."""
        return plain_flags(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run it; whatever it raises ends in a sentence on stderr."""
        try:
            code = super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            code = failure(error, ctx.params)
        if not code and was_lost():
            code = ExitCode.INCOMPLETE
        raise typer.Exit(int(code or ExitCode.COMPLETE))


class Evaluating(Guarded):
    """A command that runs an evaluation, so that its exit code means more than "done"."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, and the exit codes below it."""
        super().format_help(ctx, formatter)
        print_exit_codes()


def print_exit_codes() -> None:
    """Print the table of exit codes, as part of a help."""
    typer.echo("\n".join([" Exit codes", *lines(), ""]))


#: What a lock says of it, and what an RLock says.
_RELEASED_TWICE = ("release unlocked lock", "cannot release un-acquired lock")


def failure(error: BaseException, params: dict[str, Any]) -> ExitCode:
    """Say what happened and return the exit code for it."""
    output = Output(json=bool(params.get("json")))
    code, text = _told(error)
    output.error(text, code)
    return code


def _told(error: BaseException) -> tuple[ExitCode, str]:
    if isinstance(error, ExperimentBusy):
        return ExitCode.BUSY, str(error)
    if isinstance(error, UsageError):
        return ExitCode.USAGE, str(error)
    if isinstance(error, RunBroken):
        return ExitCode.INCOMPLETE, str(error)
    if isinstance(error, KeyboardInterrupt) or _is_torn_wait(error):
        return ExitCode.INTERRUPTED, "interrupted"
    where = _record(error)
    kind = "" if isinstance(error, EvalrunnerError) else f"{type(error).__name__}: "
    return ExitCode.INTERNAL, f"internal error: {kind}{redact(str(error))} (traceback: {where})"


def _is_torn_wait(error: BaseException) -> bool:
    """Tell whether Ctrl-C came in the instant in which `threading.Condition.wait` had let go of its lock.

    Its `with` then releases that once more (CPython's `Thread.start` and `Event.wait` do so), and says just that.
    """
    torn = isinstance(error, RuntimeError) and str(error) in _RELEASED_TWICE
    return torn and isinstance(error.__context__, KeyboardInterrupt)


def redact(text: str) -> str:
    """Return `text` without any key that this process knows."""
    for name in _SECRETS:
        secret = os.environ.get(name, "").strip()
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return text


def _record(error: BaseException) -> str:
    """Write the traceback where it can be sent from, and return that place."""
    story = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    text = f"{SYSTEM.utcnow().isoformat()}\n{redact(story)}\n"
    try:
        LOG.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        place = str(LOG)
    except OSError:
        descriptor, place = tempfile.mkstemp(prefix="evalrunner-", suffix=".log")
    with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return place
