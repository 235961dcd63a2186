"""`evalrunner doctor EXPERIMENT`: why what is missing is missing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from evalrunner.cli.output import Output
from evalrunner.cli.settings.gather import gather
from evalrunner.errors import ConfigError
from evalrunner.exit_codes import ExitCode

if TYPE_CHECKING:
    from evalrunner.doctor.causes import Cause
    from evalrunner.doctor.inside import Inside

_KEPT = "LANGSMITH_FAILED_TRACES_DIR"


@dataclass(frozen=True)
class Looking:
    """Where to look beside the service.

    Attributes:
        inside: the environment, and what the SDK kept.
        run_dir: the folder of a run of ours.
        recent: seconds; what has no end and began within this time may still be under way.
        wait: seconds; look again for so long while something is missing that may yet come.
    """

    inside: bool = False
    logs: tuple[Path, ...] = ()
    failed_traces: Path | None = None
    run_dir: Path | None = None
    recent: float = 600.0
    wait: float = 0.0


def experiment_report(
    named: str, looking: Looking, *, ids: bool, local: bool, store: str | None, json: bool, quiet: bool
) -> ExitCode:
    """Examine an experiment, say what is wrong and why, and return the exit code.

    Raises:
        ConfigError: a log or a folder cannot be read.
        ServiceError: the experiment cannot be read.
    """
    from evalrunner.cli.settings.endpoint import opened  # noqa: PLC0415 - the SDK costs 0.3 s
    from evalrunner.clock import SYSTEM  # noqa: PLC0415 - as above

    output = Output(json=json, quiet=quiet)
    inside = _inside(looking, output)
    with opened(gather({"local": local or None, "store": store}), output) as endpoint:
        from evalrunner.doctor import explained, told  # noqa: PLC0415 - as above, once there is an endpoint
        from evalrunner.doctor.diagnose import diagnose  # noqa: PLC0415 - likewise
        from evalrunner.doctor.examine import settled  # noqa: PLC0415 - likewise
        from evalrunner.doctor.place import find  # noqa: PLC0415 - likewise

        recent = timedelta(seconds=looking.recent)
        found = settled(find(endpoint, named), SYSTEM, recent, looking.wait)
    findings = diagnose(found.seen, found.symptoms, found.evidence, inside, fresh=found.fresh)
    name = found.place.name
    if json:
        document = told.document(found.seen, found.symptoms, fresh=found.fresh)
        del document["symptoms"]
        output.document({**document, "findings": explained.findings_document(findings, name)})
    else:
        for text in told.heading(found.seen):
            output.detail(text)
        for text in explained.finding_lines(findings, name, ids=ids):
            output.detail(text)
        output.line(told.verdict(found.seen, found.symptoms, fresh=found.fresh))
    return told.exit_code(found.symptoms)


def _inside(looking: Looking, output: Output) -> Inside | None:
    """Return what is to be found where the experiment was made, or None where nobody is to look."""
    kept = looking.failed_traces or (_kept() if looking.inside else None)
    if not (looking.inside or looking.logs or kept or looking.run_dir):
        return None
    from evalrunner.doctor.dumps import read_dumps  # noqa: PLC0415 - the SDK costs 0.3 s
    from evalrunner.doctor.inside import Inside, read_log, settings  # noqa: PLC0415 - as above

    found = Inside(settings=settings(os.environ) if looking.inside else {})
    causes: dict[str, Cause] = {}
    for path in looking.logs:
        try:
            with path.open(encoding="utf-8", errors="replace") as lines:
                causes |= read_log(lines, found)
        except OSError as error:
            raise ConfigError(f"the log {path} cannot be read: {error.strerror}") from None
    if looking.run_dir is not None:
        _read_books(looking.run_dir, found)
    if kept is not None:
        try:
            unread = read_dumps(kept, causes, found)
        except OSError as error:
            raise ConfigError(f"the folder {kept} cannot be read: {error.strerror}") from None
        for text in unread:
            output.note(f"not read: {text}")
    return found


def _read_books(run_dir: Path, found: Inside) -> None:
    from evalrunner.doctor.books import LEDGER, read_books  # noqa: PLC0415 - as above

    if not (run_dir / LEDGER).is_file():
        raise ConfigError(f"{run_dir} is no folder of a run: there is no {LEDGER} in it")
    read_books(run_dir, found)


def _kept() -> Path | None:
    value = os.environ.get(_KEPT) or os.environ.get(_KEPT.replace("LANGSMITH", "LANGCHAIN"))
    return Path(value) if value else None


def explain(code: str, *, quiet: bool) -> ExitCode:
    """Print what a code means.

    Raises:
        ConfigError: there is none of this name.
    """
    from evalrunner.doctor.causes import Cause  # noqa: PLC0415 - the room's package imports what costs
    from evalrunner.doctor.codes import Code  # noqa: PLC0415 - as above
    from evalrunner.doctor.explained import explained  # noqa: PLC0415 - as above

    lines = explained(code)
    if lines is None:
        known = [one.value for one in (*Code, *Cause)]
        near = get_close_matches(code, known, n=3) or sorted(known)
        raise ConfigError(f"there is no code {code!r}; there is {', '.join(near)}")
    output = Output(json=False, quiet=quiet)
    for text in lines:
        output.line(text)
    return ExitCode.COMPLETE
