"""`evalrunner doctor` without an experiment: is this machine fit for a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evalrunner.cli.output import Output, shown
from evalrunner.cli.settings.gather import Settings, gather, untouched
from evalrunner.connect.endpoint import configured, resolve
from evalrunner.errors import ConfigError
from evalrunner.exit_codes import ExitCode

if TYPE_CHECKING:
    from evalrunner.doctor.machine.examine import Wishes


def machine(*, local: bool, store: str | None, json: bool, quiet: bool) -> ExitCode:
    """Look at the machine, say how each thing stands, and return the exit code."""
    from evalrunner.cli.checks import Drawn  # noqa: PLC0415 - rich, and more, that --help does not need
    from evalrunner.doctor.machine import told  # noqa: PLC0415 - as above
    from evalrunner.doctor.machine.examine import examine  # noqa: PLC0415 - as above

    output = Output(json=json, quiet=quiet)
    groups = []
    for group in examine(_wishes({"local": local or None, "store": store})):
        groups.append(group)
        if not json:
            output.show(Drawn(group))
    if json:
        output.document(told.document(groups))
    else:
        output.line(told.verdict(groups))
    return told.exit_code(groups)


def _wishes(flags: dict[str, str | bool | None]) -> Wishes:
    """Return what a run that is started here would use."""
    from evalrunner.doctor.machine.examine import Wishes  # noqa: PLC0415 - as above

    settings, broken = _settings(flags)
    source, endpoint, refusal = configured() or "", None, ""
    local = settings["local"] or not source
    if not local:
        try:
            endpoint = resolve(source)
        except ConfigError as error:
            refusal = str(error)
    return Wishes(
        workers=settings["workers"],
        method=settings["start_method"],
        runs=settings.path("run_dir") or settings.home / ".evalrunner" / "runs",
        store=settings.path("store") if local else None,
        source=source,
        endpoint=endpoint,
        refusal=refusal,
        settings=f"from {shown(settings.file)}" if settings.file else "no configuration file here or above",
        broken=broken,
    )


def _settings(flags: dict[str, str | bool | None]) -> tuple[Settings, str]:
    try:
        return gather(flags), ""
    except ConfigError as error:
        return untouched(Path.cwd()), str(error)
