"""`evalrunner repair`: mend an experiment, without paying for its target again as far as that can be had."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from evalrunner.cli.output import Output
from evalrunner.cli.settings.gather import Settings, gather
from evalrunner.cli.settings.options import takes_options
from evalrunner.errors import ConfigError
from evalrunner.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalrunner.config import Endpoint
    from evalrunner.doctor.examine import Examined
    from evalrunner.doctor.repair.repair import Done
    from evalrunner.doctor.repair.step import Step, Wishes
    from evalrunner.supervisor.setup.admission import Admitted

_KEPT = "LANGSMITH_FAILED_TRACES_DIR"
_OWN = ("yes", "relink", "delete_duplicates", "failed_traces", "recent")
_PANEL = "What is mended"


def command(**flags: Any) -> ExitCode:
    """Mend an experiment, whoever made it: show what would be done, and with --yes do it and verify again.

    What is held elsewhere is brought back without executing anything: requests that the SDK kept
    (--failed-traces), root runs and scores that evaluators' traces hold. What is truly missing is executed if a
    target is configured, as `evalrunner run` would; options as for run. Links and runs too many are changed only
    with their own flags. Each step may be interrupted; the same command goes on.
    """
    output = Output(json=bool(flags["json"]), quiet=bool(flags["quiet"]))
    named = flags.pop("argument")
    asked = _Asked(named, **{name: flags.pop(name) for name in _OWN})
    return _go(asked, gather(flags), output)


takes_options(
    command,
    *(
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
        )
        for name, kind, default, info in (
            (
                "argument",
                str,
                inspect.Parameter.empty,
                typer.Argument(metavar="EXPERIMENT", help="Id or name.", show_default=False),
            ),
            ("yes", bool, False, typer.Option("--yes", help="Do it.", rich_help_panel=_PANEL)),
            (
                "failed_traces",
                Path | None,
                None,
                typer.Option(
                    metavar="DIR",
                    help=f"Where the SDK has kept requests that failed; {_KEPT} if that is set.",
                    rich_help_panel=_PANEL,
                ),
            ),
            (
                "relink",
                bool,
                False,
                typer.Option(
                    "--relink",
                    help="Write copies of runs that ended in an ignored error, linked to the examples whose inputs "
                    "they have.",
                    rich_help_panel=_PANEL,
                ),
            ),
            (
                "delete_duplicates",
                bool,
                False,
                typer.Option(
                    "--delete-duplicates",
                    help="Delete the runs of an example that are more than were meant, for ever.",
                    rich_help_panel=_PANEL,
                ),
            ),
            (
                "recent",
                float,
                600.0,
                typer.Option(
                    min=0,
                    metavar="SECONDS",
                    help="What has no end, and began within this time, may still be under way.",
                    rich_help_panel=_PANEL,
                ),
            ),
        )
    ),
    without=("experiment", "dataset", "prefix", "description", "metadata", "plan"),
)


@dataclass(frozen=True)
class _Asked:
    experiment: str
    yes: bool
    relink: bool
    delete_duplicates: bool
    failed_traces: Path | None
    recent: float

    @property
    def folder(self) -> Path | None:
        """Where the SDK has kept what failed."""
        kept = os.environ.get(_KEPT)
        found = self.failed_traces or (Path(kept) if kept else None)
        if found is not None and not found.is_dir():
            if self.failed_traces is None:
                return None  # nothing has failed yet: the SDK makes it then
            raise ConfigError(f"{found} is no folder: --failed-traces names where the SDK has kept requests")
        return found


def _go(asked: _Asked, settings: Settings, output: Output) -> ExitCode:
    from evalrunner.cli.settings.endpoint import opened  # noqa: PLC0415 - the SDK costs 0.3 s

    folder = asked.folder
    with opened(settings, output) as endpoint:
        from evalrunner.clock import SYSTEM  # noqa: PLC0415 - as above, once there is an endpoint
        from evalrunner.doctor.examine import examine  # noqa: PLC0415 - likewise
        from evalrunner.doctor.place import find  # noqa: PLC0415 - likewise
        from evalrunner.doctor.repair.repair import plan, repair  # noqa: PLC0415 - likewise
        from evalrunner.doctor.repair.step import Wishes  # noqa: PLC0415 - likewise
        from evalrunner.supervisor.setup.admission import Admitted  # noqa: PLC0415 - likewise

        place, recent = find(endpoint, asked.experiment), timedelta(seconds=asked.recent)
        admitted = Admitted(
            endpoint, UUID(place.id), place.name, settings.home, output.note,
            wait=settings["wait"], take_over=settings["take_over"],
        )  # fmt: skip
        run = _runner(settings, endpoint, place.id, admitted, output) if settings["target"] else None
        wishes = Wishes(endpoint, folder, run, asked.relink, asked.delete_duplicates, output.note)
        before = examine(place, SYSTEM.utcnow(), recent)
        steps = plan(before, wishes)
        _show_plan(before, steps, wishes, output)
        if not asked.yes or not steps:
            return _end(before, steps, [], asked, output)
        with admitted:
            after, done = repair(
                place,
                wishes,
                SYSTEM.utcnow,
                recent,
                lambda one: output.detail(f"{one.step.kind.value}: {one.came_to}"),
            )
        return _end(after, steps, done, asked, output)


def _runner(
    settings: Settings, endpoint: Endpoint, experiment: str, admitted: Admitted, output: Output
) -> Callable[[], str]:
    """Return what runs what is missing, as `evalrunner run` does."""
    values = {**settings.values, "experiment": replace(settings.values["experiment"], value=experiment)}
    config = replace(settings, values=values).run_config()  # refused before anything is changed

    def run() -> str:
        from evalrunner.api import execute  # noqa: PLC0415 - the supervisor, only where it is wanted
        from evalrunner.cli.progress import make_observer  # noqa: PLC0415 - as above

        with make_observer(sys.stderr, quiet=output.quiet) as observer:
            return admitted.stepping_aside(lambda: execute(config, endpoint, observer).verdict)

    return run


def _show_plan(now: Examined, steps: Sequence[Step], wishes: Wishes, output: Output) -> None:
    from evalrunner.doctor import told  # noqa: PLC0415 - loaded by now
    from evalrunner.doctor.codes import Code  # noqa: PLC0415 - likewise
    from evalrunner.doctor.repair.changing import offered  # noqa: PLC0415 - likewise
    from evalrunner.doctor.repair.step import ids  # noqa: PLC0415 - likewise

    for text in told.heading(now.seen):
        output.detail(text)
    for number, step in enumerate(steps, start=1):
        cost = f"at most {step.executions:,} executions" if step.executions else "no execution"
        output.detail(f"{number}. {step.kind.value}: {step.text} ({cost})")
    if wishes.run is None and ids(now, Code.RUN_MISSING):
        output.detail("what is truly missing needs a target: --target module:name, as for evalrunner run")
    for text in offered(now, wishes):
        output.detail(f"not without its flag: {text}")


def _end(
    now: Examined, steps: Sequence[Step], done: Sequence[Done], asked: _Asked, output: Output
) -> ExitCode:
    from evalrunner.doctor import told  # noqa: PLC0415 - likewise

    code = told.exit_code(now.symptoms)
    if output.json:
        output.document(
            {
                **told.document(now.seen, now.symptoms, fresh=now.fresh),
                "plan": [
                    {"step": one.kind.value, "text": one.text, "executions": one.executions} for one in steps
                ],
                "done": [{"step": one.step.kind.value, "came_to": one.came_to} for one in done],
            }
        )
        return code
    output.line(told.verdict(now.seen, now.symptoms, fresh=now.fresh))
    if steps and not asked.yes:
        output.detail("nothing was changed: the same command with --yes does it")
    elif not steps and code is not ExitCode.COMPLETE:
        output.detail("nothing of this can be mended here")
    return code
