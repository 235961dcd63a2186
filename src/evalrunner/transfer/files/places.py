"""Which files are meant: each that is named, and those of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evalrunner.errors import ConfigError

#: The files of a folder that are read.
ENDINGS = (".json", ".jsonl", ".ndjson", ".gz", ".zst", ".parquet")
STDIN = "standard input"


def expanded(paths: Sequence[Path | None]) -> list[Path | None]:
    """Return the files to read, in order; None is standard input.

    Raises:
        ConfigError: none is named, one is not there, one is named twice, or a folder has none.
    """
    found: list[Path | None] = []
    for path in paths:
        found += _of(path) if path is not None and path.is_dir() else [path]
    if not found:
        raise ConfigError("name a file of runs, a folder with such files, or - for standard input")
    seen: dict[object, str] = {}
    for path in found:
        name, key = name_of(path), _identity(path)
        if key in seen:
            raise ConfigError(f"{name} is named twice (it is {seen[key]})")
        seen[key] = name
    return found


def name_of(path: Path | None) -> str:
    """Return a file's name for sentences."""
    return STDIN if path is None else str(path)


def _of(folder: Path) -> list[Path | None]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror or error}") from None
    files = [one for one in entries if one.name.lower().endswith(ENDINGS) and not one.name.startswith(".")]
    if not (files := [one for one in files if one.is_file()]):
        raise ConfigError(f"{folder} has no files that end with {', '.join(ENDINGS)}")
    return list(files)


def _identity(path: Path | None) -> object:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    return found.st_dev, found.st_ino
