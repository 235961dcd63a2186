"""`evalrunner report`: the receipt of a run in this project, printed again."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from evalrunner.cli.commands.run import show
from evalrunner.cli.output import Output
from evalrunner.cli.settings.sources import home_of
from evalrunner.errors import ConfigError
from evalrunner.exit_codes import ExitCode
from evalrunner.report.receipt import (
    FORMAT,
    Books,
    EvaluatorEntry,
    EvaluatorErrors,
    FindingEntry,
    ItemEntry,
    LooseBooks,
    LooseEntry,
    Receipt,
    WorkerEntry,
)


def command(
    experiment: Annotated[
        str | None,
        typer.Argument(metavar="EXPERIMENT", help="Id or name; the last run's, if not given."),
    ] = None,
    run_dir: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The run's folder.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the receipt as one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only.")] = False,
) -> ExitCode:
    """Print the receipt of the last run in this project again.

    It is what the run found; nothing is asked from LangSmith. Exits with 0 whatever it says.
    """
    home = home_of(Path.cwd())
    receipts = [run_dir.expanduser() / "receipt.json"] if run_dir else _receipts(home)
    show(_chosen(receipts, experiment, home), Output(json=json, quiet=quiet))
    return ExitCode.COMPLETE


def _receipts(folder: Path) -> list[Path]:
    """Return the receipts below `folder`, the newest first."""
    paths = (folder / ".evalrunner" / "runs").glob("*/receipt.json")
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def _chosen(paths: list[Path], experiment: str | None, home: Path) -> Receipt:
    for path in paths:
        receipt = load(path)
        if experiment in (None, receipt.experiment.get("id"), receipt.experiment.get("name")):
            return receipt
    what = f"of experiment {experiment!r} " if experiment else ""
    raise ConfigError(f"there is no receipt {what}in {home}; run an evaluation here, or say --run-dir")


def load(path: Path) -> Receipt:
    """Read a receipt.

    Raises:
        ConfigError: it cannot be read as one.
    """
    try:
        return _receipt(orjson.loads(path.read_bytes()))
    except OSError as error:
        raise ConfigError(f"the receipt {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise ConfigError(
            f"{path} is not a receipt of format {FORMAT}, which this evalrunner reads"
        ) from None


def _receipt(data: dict[str, Any]) -> Receipt:
    if data["format"] != FORMAT:
        raise ValueError
    # What a receipt of an earlier evalrunner does not have yet has a default.
    known = {one.name: data[one.name] for one in fields(Receipt) if one.name in data}
    known["books"] = Books(**data["books"])
    for name, kind in (
        ("evaluators", EvaluatorEntry),
        ("items", ItemEntry),
        ("duplicates", ItemEntry),
        ("workers", WorkerEntry),
        ("evaluator_errors", EvaluatorErrors),
        ("findings", FindingEntry),
    ):
        known[name] = [kind(**one) for one in data.get(name, ())]
    loose = data.get("loose")
    if loose is not None:
        known["loose"] = LooseBooks(**{**loose, "missing": [LooseEntry(**one) for one in loose["missing"]]})
    return Receipt(**known)
