"""Rows out of a CSV, and what spreadsheets make of one: other separators, empty columns and lines at the end."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from evalrunner.cli.files.rows import BadRow, Placed
from evalrunner.errors import DataError

#: What else separates cells: Excel writes semicolons where the comma is the decimal sign.
_OTHERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_Row = tuple[int, list[str]]


def table(path: Path, text: str, delimiter: str | None, notes: list[str]) -> Iterator[Placed]:
    """Yield every row of a CSV, good or bad.

    Args:
        delimiter: what separates cells; None takes a comma, and says so where another sign seems meant.
        notes: is told what was left out: columns and lines without anything in them.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    if delimiter is None:
        _check_separator(path, text)
    # Excel's own way to say it; the line stays a line, for the numbers of those below.
    text = re.sub(r"\A(?i:sep)=.(?=\r?\n)", "", text)
    rows = _rows(path, text, delimiter or ",")
    _, first = next(rows, (0, []))
    if not first:
        return
    names = _stripped([cell.strip() for cell in first])
    beyond = len(first) - len(names)
    header = _header(path, names)
    empty: list[int] = []
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            empty.append(line)
            continue
        extra = cells[len(header) :]
        beyond = max(beyond, len(extra))
        yield f"line {line}", _row(header, cells, bool(first[len(header) :]))
    notes += _told(path, beyond, empty)


def _row(header: list[str], cells: list[str], nameless: bool) -> dict[str, str] | BadRow:
    known, extra = cells[: len(header)], cells[len(header) :]
    said = next((cell for cell in extra if cell.strip()), None)
    if said is not None and nameless:
        place = cells.index(said, len(header)) + 1
        return BadRow(f"column {place} has no name in the first line, and {said[:40]!r} stands in it")
    if said is not None or len(known) < len(header):
        return BadRow(f"{len(cells)} cells under {len(header)} columns")
    return dict(zip(header, known, strict=True))


def _told(path: Path, beyond: int, empty: list[int]) -> Iterator[str]:
    if beyond:
        yield (
            f"{path}: {beyond} column{'s' if beyond > 1 else ''} without a name or a value (trailing commas, as "
            "Excel writes them) left out"
        )
    if empty:
        more = ", ..." if len(empty) > 5 else ""
        lines = ", ".join(map(str, empty[:5]))
        yield f"{path}: lines with nothing in any cell left out ({len(empty)}): {lines}{more}"


def _rows(path: Path, text: str, delimiter: str) -> Iterator[_Row]:
    csv.field_size_limit(sys.maxsize)
    # newline="" leaves the line ends to the reader: quoted cells may hold some.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: not CSV ({error})") from None


def _check_separator(path: Path, text: str) -> None:
    """Refuse a file whose first line has no comma and has another sign that separates cells."""
    first = text[:100_000].lstrip("\r\n")
    told = re.match(r"(?i:sep)=(.)\r?\n", first)
    signs = [told[1]] if told else [sign for sign in _OTHERS if _separates(first, sign)]
    found = next((sign for sign in signs if sign in _OTHERS), None)
    if found:
        shown = "$'\\t'" if found == "\t" else f"'{found}'"
        raise DataError(
            f"{path}: its cells are separated by {_OTHERS[found]}, not commas: say --delimiter {shown}, or save "
            "it with commas"
        )


def _separates(text: str, sign: str) -> bool:
    return len(_first(text, ",")) <= 1 < len(_first(text, sign))


def _first(text: str, delimiter: str) -> list[str]:
    try:
        return next(iter(csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)), [])
    except csv.Error:
        return []


def _stripped(names: list[str]) -> list[str]:
    """Return the names without the nameless ones at the end; one that is alone stays, to be refused by name."""
    while len(names) > 1 and not names[-1]:
        names = names[:-1]
    return names


def _header(path: Path, names: list[str]) -> list[str]:
    if "" in names:
        raise DataError(f"{path}: column {names.index('') + 1} has no name in the first line")
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise DataError(f"{path}: two columns are called {twice!r}")
    return names
