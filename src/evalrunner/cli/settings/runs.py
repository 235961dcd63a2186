"""The runs of a project, by their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def run_folders(home: Path, run_dir: str | Path | None) -> list[Path]:
    """Return the folders of a project's runs, the newest first; or the one that was named, if it is there."""
    runs = [Path(run_dir).expanduser()] if run_dir else list((home / ".evalrunner" / "runs").glob("*"))
    there = [path for path in runs if path.is_dir()]
    return sorted(there, key=lambda run: run.stat().st_mtime, reverse=True)


def what_it_was(folder: Path, experiment: str | None) -> dict[str, Any] | None:
    """Return what the run in a folder was; None if it never came to an experiment, or to this one."""
    from evalrunner.ledger.stories import peek  # noqa: PLC0415 - nothing of this is needed for --help

    known: dict[str, Any] | None = peek(folder / "ledger.sqlite", "run")
    names = (None, known["experiment"], known.get("id"), folder.name) if known else ()
    return known if experiment in names else None
