"""Rows out of a file, each with the line it starts on: JSON lines, a JSON list, CSV (spreadsheet.py).

What JSON cannot say, or what would arrive as something else, makes a bad row: NaN, a number too large for the
wire, a name given twice.
"""

from __future__ import annotations

import codecs
import json
import math
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalrunner.cli.files.rows import BadRow, Placed
from evalrunner.cli.files.spreadsheet import table
from evalrunner.errors import DataError
from evalrunner.protocol.values import NESTING


def rows_of(path: Path, notes: list[str], delimiter: str | None = None) -> list[Placed]:
    """Return every row of a file, good or bad.

    Args:
        notes: is told what was left out, or taken otherwise than it stands there.
        delimiter: what separates the cells of a CSV, where that is no comma.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    kind = path.suffix.lower()
    if delimiter is not None and (kind != ".csv" or len(delimiter) != 1):
        raise DataError("--delimiter takes one character, and is for .csv files")
    if kind == ".csv":
        return list(table(path, _text(path), delimiter, notes))
    reader = {".jsonl": _lines, ".ndjson": _lines, ".json": _items}.get(kind)
    if reader is None:
        raise DataError(f"{path}: the kinds of files are .jsonl, .ndjson, .json and .csv{_as_csv(path)}")
    return list(reader(path, _text(path)))


def _as_csv(path: Path) -> str:
    """Say what to do with what a spreadsheet writes."""
    hints = {
        ".tsv": "; call it .csv and say --delimiter $'\\t'",
        ".xlsx": "; save it as 'CSV UTF-8'",
        ".xls": "; save it as 'CSV UTF-8'",
        ".parquet": "; write it as .jsonl, with pandas: df.to_json('rows.jsonl', orient='records', lines=True)",
    }
    return hints.get(path.suffix.lower(), "")


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return raw.decode("utf-16")  # Excel's "Unicode text", and what PowerShell writes
        if b"\0" in raw[:1000]:
            raise DataError(f"{path}: not UTF-8; it looks like UTF-16 without a mark: save it as UTF-8")
        # utf-8-sig: what Excel writes starts with a mark that would become part of the first name.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8{_recode(path)}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def _recode(path: Path) -> str:
    quoted = shlex.quote(str(path))
    excel = (
        "save it as 'CSV UTF-8', or say" if path.suffix.lower() == ".csv" else "if it is Western text, say"
    )
    return f": {excel} iconv -f WINDOWS-1252 -t UTF-8 {quoted} > utf8{path.suffix}"


def _loads(text: str) -> Any:
    try:
        return json.loads(
            text, parse_constant=_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        raise BadRow(f"not JSON ({error.msg} at column {error.colno})") from None
    except RecursionError:
        raise BadRow(f"nested deeper than {NESTING} levels") from None


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
