"""The command `evalrunner`: which commands there are, and how a command that fails ends.

`run` is the default command: `evalrunner --workers 8 --experiment ID` is `evalrunner run --workers 8 ...`.
"""

from __future__ import annotations

import inspect
import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from evalrunner import __version__
from evalrunner.cli.commands import (
    config,
    dataset,
    doctor,
    download,
    init,
    push,
    repair,
    report,
    resume,
    run,
    serve,
    story,
    upload,
    verify,
)
from evalrunner.cli.errors import Evaluating, Guarded, failure, plain_flags, print_exit_codes
from evalrunner.cli.streams import stand

HELP = """Run a LangSmith evaluation in many processes, into one experiment, and prove that nothing was lost.

[bold]evalrunner --workers 8 --experiment ID[/bold] makes that experiment complete: it runs what has no
complete run yet, in 8 processes, reads the experiment back, and exits with 0 only if every item is
there. Run again, it finds nothing to do. (This is the command [bold]run[/bold]; its options: evalrunner
run --help.)

[bold]evalrunner init DIR[/bold] writes a small evaluation to try it on. With no LangSmith configured,
everything works against a local backend that evalrunner starts itself."""

_CUT_OFF = 130
_OWN = ("--help", "-h", "--version", "--install-completion", "--show-completion")


class Plain(TyperGroup):
    """A group whose help shows switches as what they are."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return its parameters as the help shows them."""
        return plain_flags(super().get_params(ctx))


class DefaultRun(Plain):
    """A group that takes options without a command for those of `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the command; a word that is none is left alone, so that the group can say what is near."""
        if args and args[0].startswith("-") and args[0] not in _OWN:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Offer the options of `run` beside the group's own: the command need not be said."""
        found: list[Any] = super().shell_complete(ctx, incomplete)
        run_command = self.get_command(ctx, "run")
        if incomplete.startswith("-") and run_command is not None:
            inner = run_command.make_context("run", [], parent=ctx, resilient_parsing=True)
            known = {one.value for one in found}
            found += [one for one in run_command.shell_complete(inner, incomplete) if one.value not in known]
        return found

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, and the exit codes below it."""
        super().format_help(ctx, formatter)
        print_exit_codes()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"evalrunner {__version__}")
        raise typer.Exit


def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Hold the options that stand before any command."""


def build() -> typer.Typer:
    """Put the commands together."""
    looks: dict[str, Any] = {
        "pretty_exceptions_enable": False,
        "no_args_is_help": True,
        "rich_markup_mode": "rich",
        "context_settings": {"help_option_names": ["-h", "--help"]},
    }
    app = typer.Typer(cls=DefaultRun, add_completion=True, help=_folded(HELP), **looks)
    app.callback()(top)
    datasets = typer.Typer(
        cls=Plain, add_completion=False, help="Push examples from a file; list what is there.", **looks
    )
    for group, name, command, kind in (
        (app, "run", run.command, Evaluating),
        (app, "resume", resume.command, Evaluating),
        (app, "report", report.command, Guarded),
        (app, "story", story.command, Guarded),
        (app, "verify", verify.command, Guarded),
        (app, "doctor", doctor.command, Guarded),
        (app, "repair", repair.command, Evaluating),
        (app, "config", config.command, Guarded),
        (app, "init", init.command, Guarded),
        (app, "serve", serve.command, Guarded),
        (app, "push", push.command, Evaluating),
        (app, "upload", upload.command, Evaluating),
        (app, "download", download.command, Guarded),
        (datasets, "push", dataset.push, Guarded),
        (datasets, "list", dataset.show, Guarded),
    ):
        group.command(name, cls=kind, help=_folded(command.__doc__ or ""))(command)
    app.add_typer(datasets, name="dataset")
    return app


def _folded(text: str) -> str:
    """Return each paragraph as one line: some versions of typer keep the breaks of the source."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


def main() -> None:
    """Carry out what was asked for, and end with its exit code."""
    stand()
    try:
        build()(prog_name="evalrunner")
    except KeyboardInterrupt:
        sys.exit(int(failure(KeyboardInterrupt(), {})))
    except SystemExit as end:
        # Typer's word for a Ctrl-C before a command has begun (typer/core.py, `_main`).
        sys.exit(int(failure(KeyboardInterrupt(), {})) if end.code == _CUT_OFF else end.code)
    except Exception as error:
        sys.exit(int(failure(error, {})))
    finally:
        # Everything is said, and the exit code is known: a Ctrl-C that comes late must not change it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
