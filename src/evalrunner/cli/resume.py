"""`evalrunner resume`: go on with an experiment; the same as running the command again."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from evalrunner.cli.exit_codes import ExitCode
from evalrunner.cli.options import takes_options
from evalrunner.cli.output import Output
from evalrunner.cli.run import go
from evalrunner.cli.settings import gather
from evalrunner.errors import ConfigError


def command(**flags: Any) -> ExitCode:
    """Go on with an experiment after an interruption: send what lies on disk, read back, run what is missing.

    Without EXPERIMENT it is the one of the last run in this folder. Options as for run.
    """
    output = Output(json=bool(flags["json"]), quiet=bool(flags["quiet"]))
    named = flags.pop("argument")
    if named and flags["experiment"] and named != flags["experiment"]:
        raise ConfigError(f"two experiments are named: {named} and --experiment {flags['experiment']}")
    if flags["dataset"]:
        raise ConfigError(
            "resume goes on with an experiment; --dataset is for `evalrunner run`, which creates one"
        )
    flags["experiment"] = named or flags["experiment"] or last_experiment(Path.cwd())
    return go(gather(flags), output)


takes_options(
    command,
    inspect.Parameter(
        "argument",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            str | None,
            typer.Argument(metavar="EXPERIMENT", help="Id or name of the experiment.", show_default=False),
        ],
    ),
)


def last_experiment(folder: Path) -> str:
    """Return the experiment of the newest run folder below `folder`.

    Raises:
        ConfigError: there is none.
    """
    runs = [path for path in (folder / ".evalrunner" / "runs").glob("*") if path.is_dir()]
    if not runs:
        raise ConfigError(f"no run in {folder} to resume; say which experiment: evalrunner resume EXPERIMENT")
    return max(runs, key=lambda path: path.stat().st_mtime).name
