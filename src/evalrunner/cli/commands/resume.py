"""`evalrunner resume`: go on with an experiment; the same as running the command again."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from evalrunner.cli.commands.run import go
from evalrunner.cli.output import Output
from evalrunner.cli.settings.gather import gather
from evalrunner.cli.settings.options import takes_options
from evalrunner.cli.settings.runs import run_folders, what_it_was
from evalrunner.cli.settings.sources import home_of
from evalrunner.errors import ConfigError
from evalrunner.exit_codes import ExitCode


def command(**flags: Any) -> ExitCode:
    """Go on with an experiment after an interruption: send what lies on disk, read back, run what is missing.

    Without EXPERIMENT it is the one of the last run in this project, and without --target what that run
    evaluated. Options as for run.
    """
    output = Output(json=bool(flags["json"]), quiet=bool(flags["quiet"]))
    named = flags.pop("argument")
    if named and flags["experiment"] and named != flags["experiment"]:
        raise ConfigError(f"two experiments are named: {named} and --experiment {flags['experiment']}")
    if flags["dataset"]:
        raise ConfigError(
            "resume goes on with an experiment; --dataset is for `evalrunner run`, which creates one"
        )
    flags["experiment"] = named or flags["experiment"]
    remembered = _remember(flags, home_of(Path.cwd()))
    settings = gather(flags)
    # What was a module there is one of that folder, wherever resume is given.
    settings.values.update(
        {key: replace(settings.values[key], folder=there) for key, there in remembered.items()}
    )
    return go(settings, output)


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


def _remember(flags: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Fill in what was not said now with what the run said then: experiment, target, evaluators.

    A flag wins; what the run's own flags were is not a matter for a configuration file to change.
    Return which of the code was filled in, with the folder that its modules were found in.
    """
    run = _last_run(folder, flags["experiment"], flags.get("run_dir"))
    if run is None:
        if flags["experiment"] is None:
            raise ConfigError(
                f"no run in {folder} to resume; say which experiment: evalrunner resume EXPERIMENT"
            )
        return {}
    # By its id: it may have been renamed since. A folder of an earlier version knows the name only.
    flags["experiment"] = flags["experiment"] or run.get("id") or run["experiment"]
    remembered: list[str] = []
    if flags["target"] is None and run["target"]:
        flags["target"] = _from_here(run["target"], run["folder"])
        flags["factory"] = flags["factory"] or run["factory"] or None
        remembered.append("target")
    for flag, name in (("evaluator", "evaluators"), ("summary_evaluator", "summary_evaluators")):
        if not flags[flag] and run[name]:
            flags[flag] = [_from_here(each, run["folder"]) for each in run[name]]
            remembered.append(flag)
    return dict.fromkeys(remembered, Path(run["folder"]))


def _from_here(named: str, folder: str) -> str:
    """Return `path/file.py:name` as it reads from any folder; `module:name` stays as it is."""
    where, _, name = named.rpartition(":")
    return f"{Path(folder) / where}:{name}" if where.endswith(".py") else named


def _last_run(folder: Path, experiment: str | None, run_dir: str | Path | None) -> dict[str, Any] | None:
    """Return what the newest run (of this experiment) was; one that never came to an experiment is none."""
    known = (what_it_was(path, experiment) for path in run_folders(folder, run_dir))
    return next((run for run in known if run is not None), None)
