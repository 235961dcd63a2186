"""Rows out of a file, each with the line it starts on: JSON lines, a JSON list, CSV.

What JSON cannot say, or what would arrive as something else, makes a bad row: NaN, a number too large for the
wire, a name given twice.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalrunner.errors import DataError


class BadRow(Exception):
    """A row cannot be used; says why."""


#: Where a row is ("line 7", "item 7"), and the row or why there is none.
Placed = tuple[str, Any]


def rows_of(path: Path) -> list[Placed]:
    """Return every row of a file, good or bad.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    readers = {".jsonl": _lines, ".ndjson": _lines, ".json": _items, ".csv": _table}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: the kinds of files are .jsonl, .ndjson, .json and .csv")
    return list(reader(path, _text(path)))


def _text(path: Path) -> str:
    try:
        # utf-8-sig: what Excel writes starts with a mark that would become part of the first name.
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def _loads(text: str) -> Any:
    try:
        return json.loads(
            text, parse_constant=_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        raise BadRow(f"not JSON ({error.msg} at column {error.colno})") from None
    except RecursionError:
        raise BadRow("nested too deeply") from None


def _constant(name: str) -> None:
    raise BadRow(f"{name} is not JSON")


def _float(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise BadRow(f"{text[:40]} is too large a number")
    return value


def _int(text: str) -> int:
    # What the wire's encoders take; a longer one would arrive as something else.
    if len(text) > 20 or not -(2**63) <= (value := int(text)) < 2**64:
        raise BadRow(f"{text[:40]} is too large a number")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise BadRow(f"{name!r} is given twice")
    return found


def _lines(path: Path, text: str) -> Iterator[Placed]:
    # Not splitlines(): U+2028 and others may stand in a JSON text, and are no ends of lines.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", _try(line.strip())


def _try(text: str) -> Any:
    try:
        return _loads(text)
    except BadRow as why:
        return why


def _items(path: Path, text: str) -> Iterator[Placed]:
    try:
        items = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path}: not JSON that can be used ({error})") from None
    if not isinstance(items, list):
        raise DataError(f"{path}: takes a list of objects; one object per line is a .jsonl file")
    if items:
        yield from _list(text)


def _list(text: str) -> Iterator[Placed]:
    """Yield the items of a list that is known to be well-formed, with the line each starts on."""
    decoder = json.JSONDecoder(
        parse_constant=_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_object
    )
    plain = json.JSONDecoder()
    position, line = text.index("[") + 1, text.count("\n", 0, text.index("[") + 1) + 1
    while True:
        start = position
        while start < len(text) and text[start] in " \t\r\n,":
            start += 1
        line += text.count("\n", position, start)
        if start >= len(text) or text[start] == "]":
            return
        _, end = plain.raw_decode(text, start)
        yield f"line {line}", _try_decode(decoder, text, start)
        line += text.count("\n", start, end)
        position = end


def _try_decode(decoder: json.JSONDecoder, text: str, start: int) -> Any:
    try:
        return decoder.raw_decode(text, start)[0]
    except BadRow as why:
        return why


def _table(path: Path, text: str) -> Iterator[Placed]:
    csv.field_size_limit(sys.maxsize)
    # newline="" leaves the line ends to the reader: quoted cells may hold some.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            place, line = f"line {line}", reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = _header(path, cells)
            elif len(cells) == len(header):
                yield place, dict(zip(header, cells, strict=True))
            else:
                yield place, BadRow(f"{len(cells)} cells under {len(header)} columns")
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: not CSV ({error})") from None


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if "" in names:
        raise DataError(f"{path}: column {names.index('') + 1} has no name in the first line")
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise DataError(f"{path}: two columns are called {twice!r}")
    return names
