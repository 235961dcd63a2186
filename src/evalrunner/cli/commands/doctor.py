"""`evalrunner doctor`: what is wrong, of this machine or of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalrunner.cli.commands.doctor_experiment import Looking, experiment_report, explain
from evalrunner.cli.commands.doctor_machine import machine
from evalrunner.cli.commands.doctor_service import try_service
from evalrunner.errors import ConfigError
from evalrunner.exit_codes import ExitCode

_OF_AN_EXPERIMENT = "Of an experiment"


def command(
    experiment: Annotated[
        str | None, typer.Argument(metavar="[EXPERIMENT]", help="An experiment, by id or name.")
    ] = None,
    *,
    inside: Annotated[
        bool,
        typer.Option(
            "--inside",
            help="It was made on this machine: look at this environment, and at what the SDK kept of failed "
            "requests (LANGSMITH_FAILED_TRACES_DIR).",
            rich_help_panel=_OF_AN_EXPERIMENT,
        ),
    ] = False,
    logs: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="A log of its processes; several times.", rich_help_panel=_OF_AN_EXPERIMENT
        ),
    ] = None,
    failed_traces: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="What the SDK kept of failed requests, if it is not where --inside looks.",
            rich_help_panel=_OF_AN_EXPERIMENT,
        ),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The folder of a run of evalrunner's into it: its ledger knows.",
            rich_help_panel=_OF_AN_EXPERIMENT,
        ),
    ] = None,
    recent: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="What has no end, and began within this time, may still be under way.",
            rich_help_panel=_OF_AN_EXPERIMENT,
        ),
    ] = 600,
    wait: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Look again for so long while something is missing that may yet come.",
            rich_help_panel=_OF_AN_EXPERIMENT,
        ),
    ] = 0,
    ids: Annotated[
        bool,
        typer.Option(
            "--ids", help="Print the ids that each finding is about.", rich_help_panel=_OF_AN_EXPERIMENT
        ),
    ] = False,
    explain_code: Annotated[
        str | None,
        typer.Option("--explain", metavar="CODE", help="Say what a symptom or a cause means, and no more."),
    ] = None,
    service: Annotated[
        bool,
        typer.Option(
            "--service",
            help="Try what is not known of a LangSmith service, in a project that is made and removed.",
        ),
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Use the local backend even though a LangSmith is configured.")
    ] = False,
    store: Annotated[str | None, typer.Option(metavar="FILE", help="The local backend's file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only.")] = False,
) -> ExitCode:
    """Say why runs of an experiment are missing, pending, hidden or not scored; or check this machine.

    With an experiment, whoever made it: each symptom that verify names, divided by its cause: one that is certain,
    or those that the evidence leaves. From outside many causes look alike; --inside and --logs tell them apart where
    they happened. Without one: is this machine fit for a run, and what would cost traces here.

    With --service: what a service does that nobody says, tried in a project that is made and removed.

    Nothing else is changed. The exit code is verify's; of a machine it is 2 if something is a failure, else 0.
    """
    if explain_code is not None:
        return explain(explain_code, quiet=quiet)
    looking = Looking(inside, tuple(logs or ()), failed_traces, run_dir, recent, wait)
    if service and experiment is not None:
        raise ConfigError("--service is about the service, and not about an experiment: say it alone")
    if experiment is not None:
        return experiment_report(
            experiment, looking, ids=ids, local=local, store=store, json=json, quiet=quiet
        )
    if service and not (ids or looking != Looking()):
        return try_service(local=local, store=store, json=json, quiet=quiet)
    if ids or looking != Looking():
        raise ConfigError(
            "--inside, --logs, --failed-traces, --run-dir, --recent, --wait and --ids are about an experiment: "
            "name it, as in evalrunner doctor EXPERIMENT --inside"
        )
    return machine(local=local, store=store, json=json, quiet=quiet)
