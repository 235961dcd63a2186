"""`evalrunner init`: write a small, real evaluation to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalrunner.cli.output import Output
from evalrunner.errors import RunFolderError
from evalrunner.exit_codes import ExitCode


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write it; made if missing.")] = Path(
        "."
    ),
) -> ExitCode:
    """Write a small evaluation to try: a dataset, a target, two evaluators, a configuration."""
    from evalrunner.quickstart import write  # noqa: PLC0415

    try:
        paths = write(folder.expanduser())
    except OSError as error:
        raise RunFolderError(f"cannot write in {folder}: {error.strerror or error}") from None
    output = Output()
    for path in paths:
        output.line(f"wrote {path}")
    if readme := next((path for path in paths if path.name == "README.md"), None):
        output.line(f"next: see {readme}")
    return ExitCode.COMPLETE
