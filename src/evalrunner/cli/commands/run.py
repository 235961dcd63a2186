"""`evalrunner run`: settings, then LangSmith, then the supervisor, then the receipt."""

from __future__ import annotations

import contextlib
import gc
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalrunner.cli.output import Output, shown
from evalrunner.cli.settings.gather import Settings, gather
from evalrunner.cli.settings.options import takes_options
from evalrunner.exit_codes import ExitCode

if TYPE_CHECKING:
    from evalrunner.report.receipt import Receipt


def command(**flags: Any) -> ExitCode:
    """Complete an experiment, or create one over a dataset and complete it. This is the default command.

    Target and evaluators are executed at least once per item and at most --max-attempts times; exactly one
    run per item counts. Every option may also stand in an evalrunner.toml, in the \\[tool.evalrunner] of a
    pyproject.toml, or in the environment as EVALRUNNER_OPTION; flags win. `evalrunner config` shows what
    applies.
    """
    output = Output(json=bool(flags["json"]), quiet=bool(flags["quiet"]))
    return go(gather(flags), output)


takes_options(command)


def go(settings: Settings, output: Output) -> ExitCode:
    """Run with these settings and print the receipt."""
    from evalrunner.cli.settings.endpoint import opened  # noqa: PLC0415 - nothing of this is needed for --help

    config = settings.run_config()
    if settings.home != settings.folder:
        output.note(
            f"settings from {settings.file}; what is relative there, and .evalrunner, is in that folder"
        )
    with (
        _warm(config.start_method, settings["plan"]),
        opened(settings, output, meanwhile=_load_supervisor) as endpoint,
    ):
        _load_supervisor()  # where there is no local backend to wait for
        from evalrunner.api import execute  # noqa: PLC0415
        from evalrunner.cli.progress import make_observer  # noqa: PLC0415

        with make_observer(sys.stderr, quiet=output.quiet) as observer:
            receipt = execute(config, endpoint, observer, plan_only=settings["plan"])
    show(receipt, output)
    if endpoint.local and not settings["plan"] and not output.json:
        _point(receipt, settings, output)
    return ExitCode(receipt.exit_code)


def show(receipt: Receipt, output: Output) -> None:
    """Print a receipt: whole, or (`--quiet`) its verdict, or (`--json`) as the document."""
    if output.json:
        output.document(receipt.to_dict())
    elif output.quiet:
        output.line(receipt.verdict)
    else:
        from evalrunner.report.text import render  # noqa: PLC0415

        output.show(render(receipt))


@contextlib.contextmanager
def _warm(start_method: str, plan_only: bool) -> Iterator[None]:
    """Have the process that workers are forked from import the SDK while we do: it costs both of us a second."""
    if plan_only:
        yield
        return
    from evalrunner.engines.registry import make_engine  # noqa: PLC0415 - nothing of this is needed for --help

    engine = make_engine(start_method=start_method)
    engine.warm_up()
    try:
        yield
    finally:
        engine.cool_down()
        engine.close()


def _load_supervisor() -> None:
    """Import it, in about the time that the local backend takes to start.

    The collector rests meanwhile: it would walk through the imports again and again, for a tenth of their time.
    """
    gc.disable()
    try:
        import evalrunner.api  # noqa: F401, PLC0415
    finally:
        gc.enable()


def _point(receipt: Receipt, settings: Settings, output: Output) -> None:
    """Say where to look, which on the local backend nobody can know."""
    folder = Path(receipt.run_dir)
    again = f" --run-dir {shlex.quote(str(folder))}" if settings["run_dir"] else ""
    store = f" --store {shlex.quote(str(settings.path('store')))}" if settings.given("store") else ""
    output.detail(f"\n  receipt     {shown(folder / 'receipt.json')}")
    output.detail(f"  again       evalrunner report{again}")
    output.detail(
        f"  traces      evalrunner serve{store}   (the local backend: pages for a browser, and the SDK)"
    )
