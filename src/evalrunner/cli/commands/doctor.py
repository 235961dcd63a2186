"""`evalrunner doctor`: what is wrong, of this machine or of an experiment."""

from __future__ import annotations

from typing import Annotated

import typer

from evalrunner.cli.commands.doctor_machine import machine
from evalrunner.errors import ConfigError
from evalrunner.exit_codes import ExitCode


def command(
    experiment: Annotated[
        str | None, typer.Argument(metavar="[EXPERIMENT]", help="An experiment, by id or name.")
    ] = None,
    *,
    local: Annotated[
        bool, typer.Option("--local", help="Use the local backend even though a LangSmith is configured.")
    ] = False,
    store: Annotated[str | None, typer.Option(metavar="FILE", help="The local backend's file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only.")] = False,
) -> ExitCode:
    """Check this machine: is it fit for a run, and what would cost traces here.

    Nothing is changed. The exit code is 0 if nothing that was looked at is a failure.
    """
    if experiment is not None:
        raise ConfigError(
            f"doctor looks at this machine; of an experiment say: evalrunner verify {experiment}"
        )
    return machine(local=local, store=store, json=json, quiet=quiet)
