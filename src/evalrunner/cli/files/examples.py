"""Examples out of a file: every row is judged before any is pushed, and every bad line is named."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from evalrunner.cli.files.formats import rows_of
from evalrunner.cli.files.rows import BadRow, Placed
from evalrunner.errors import DataError
from evalrunner.protocol.ids import example_id
from evalrunner.protocol.values import NESTING, UnfitError, check_json

#: How many bad rows are named.
_NAMED = 20
_SHAPE = frozenset({"inputs", "outputs", "metadata", "split", "id"})


@dataclass(frozen=True)
class Columns:
    """Which columns of flat rows are what, and how a file is to be taken.

    Attributes:
        delimiter: what separates the cells of a CSV, where that is no comma.
        keep_ids: ids that are no UUIDs are kept as metadata; whole numbers are in any case.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    split: str | None = None
    delimiter: str | None = None
    keep_ids: bool = False

    @property
    def any(self) -> bool:
        """Something was said, so the rows are flat."""
        return bool(self.inputs or self.outputs or self.metadata or self.split)

    @property
    def all(self) -> list[str]:
        """Every column named."""
        return [*self.inputs, *self.outputs, *self.metadata, *([self.split] if self.split else [])]


@dataclass(frozen=True)
class Row:
    """One example."""

    id: UUID
    inputs: dict[str, Any]
    outputs: dict[str, Any] | None
    metadata: dict[str, Any] | None
    split: list[str] | None


def read(path: Path, dataset: str, columns: Columns, notes: list[str] | None = None) -> list[Row]:
    """Return every example of a file.

    Args:
        path: a .jsonl, .ndjson, .json or .csv file.
        dataset: the name of the dataset that the ids are for.
        columns: which columns are what; none for rows that have inputs, outputs, metadata, split.
        notes: is told what was left out, or taken otherwise than it stands there.

    Raises:
        DataError: the file cannot be read, is empty, or has rows that cannot be used, by line.
    """
    if not dataset.strip():
        raise DataError("the dataset's --name is empty")
    notes = [] if notes is None else notes
    placed = rows_of(path, notes, columns.delimiter)
    if not placed:
        raise DataError(f"{path} has no rows: nothing to push")
    rows = _judge(path, dataset, placed, columns)
    if kept := sum(isinstance(raw, dict) and _foreign_id(raw) for _, raw in placed) if not columns.any else 0:
        notes.append(f"{path}: {kept} row(s) have an id that is no UUID; it is kept as metadata 'id'")
    return rows


def _judge(path: Path, dataset: str, placed: list[Placed], columns: Columns) -> list[Row]:
    good = [row for _, row in placed if isinstance(row, dict)]
    if not columns.inputs and good and not any("inputs" in row for row in good):
        names = ", ".join(sorted({str(name) for row in good[:1000] for name in row}))
        raise DataError(f"{path}: say which columns are inputs (--inputs COLUMN); there are: {names}")
    if columns.any:
        columns = _expanded(columns, {name for row in good for name in row})
    bad: list[str] = []
    rows: dict[UUID, tuple[str, Row]] = {}
    seen = Counter[bytes]()
    for place, raw in placed:
        try:
            row = _row(raw, dataset, columns, seen)
        except BadRow as why:
            bad.append(f"{place}: {why}")
            continue
        if row.id in rows:
            bad.append(f"{place}: the id of {rows[row.id][0]} again")
        rows[row.id] = (place, row)
    if bad:
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise DataError(f"{path}: nothing was pushed; bad rows: {'; '.join(bad[:_NAMED])}{more}")
    return [row for _, row in rows.values()]


def _expanded(columns: Columns, known: set[str]) -> Columns:
    """Let `--inputs a,b` mean two columns, unless one is called that."""

    def names(given: tuple[str, ...]) -> tuple[str, ...]:
        found: list[str] = []
        for one in given:
            parts = [part.strip() for part in one.split(",")]
            found += [one] if one in known or not all(part in known for part in parts) else parts
        return tuple(found)

    return replace(
        columns,
        inputs=names(columns.inputs),
        outputs=names(columns.outputs),
        metadata=names(columns.metadata),
    )


def _row(raw: Any, dataset: str, columns: Columns, seen: Counter[bytes]) -> Row:
    if isinstance(raw, BadRow):
        raise raw
    if not isinstance(raw, dict):
        raise BadRow("not an object")
    shaped = _flat(raw, columns) if columns.any else raw
    _check_shape(shaped)
    shaped = _with_foreign_id(shaped, keep=columns.keep_ids)
    content = _canonical({name: shaped.get(name) for name in ("inputs", "outputs", "metadata")})
    named = shaped.get("id")
    if named is None:
        identity = example_id(dataset, content, seen[content])
        seen[content] += 1
    else:
        identity = _uuid(named)
    split = shaped.get("split")
    splits = [split] if isinstance(split, str) else split
    return Row(identity, shaped["inputs"], shaped.get("outputs"), shaped.get("metadata"), splits or None)


def _flat(raw: dict[str, Any], columns: Columns) -> dict[str, Any]:
    missing = [name for name in columns.all if name not in raw]
    if missing:
        raise BadRow(f"no column {', '.join(repr(name) for name in missing)}")
    if not columns.inputs:
        raise BadRow("no --inputs")
    return {
        "inputs": {name: raw[name] for name in columns.inputs},
        "outputs": {name: raw[name] for name in columns.outputs} or None,
        "metadata": {name: raw[name] for name in columns.metadata} or None,
        "split": raw[columns.split] or None if columns.split else None,
    }


def _check_shape(row: dict[str, Any]) -> None:
    if not isinstance(row.get("inputs"), dict):
        raise BadRow("inputs is not an object" if "inputs" in row else "no inputs")
    for name in ("outputs", "metadata"):
        if not isinstance(row.get(name), (dict, type(None))):
            raise BadRow(f"{name} is not an object")
    split = row.get("split")
    if not (split is None or isinstance(split, str) or _texts(split)):
        raise BadRow("split is neither a text nor a list of texts")
    if unknown := sorted(set(row) - _SHAPE):
        raise BadRow(f"unknown {', '.join(repr(name) for name in unknown)}")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _with_foreign_id(row: dict[str, Any], *, keep: bool) -> dict[str, Any]:
    """Move an id of somebody else's, a number say, to where the service takes it: an example's is a UUID."""
    named = row.get("id")
    if not _foreign_id(row) or not (keep or (isinstance(named, int) and not isinstance(named, bool))):
        return row
    metadata = row.get("metadata") or {}
    if metadata.get("id", named) != named:
        raise BadRow(f"id {str(named)[:60]!r} is not a UUID, and its metadata has another 'id' already")
    return {**row, "id": None, "metadata": {**metadata, "id": named}}


def _foreign_id(row: dict[str, Any]) -> bool:
    named = row.get("id")
    try:
        UUID(named)
    except (ValueError, TypeError, AttributeError):
        return named is not None
    return False


def _uuid(named: Any) -> UUID:
    try:
        return UUID(named)
    except (ValueError, TypeError, AttributeError):
        raise BadRow(f"id {str(named)[:60]!r} is not a UUID; --keep-ids keeps such ids as metadata") from None


def _canonical(content: dict[str, Any]) -> bytes:
    try:
        data = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        check_json(data, around=1)
    except UnicodeEncodeError:
        raise BadRow("half of a surrogate pair in a text") from None
    except RecursionError:
        raise BadRow(f"nested deeper than {NESTING} levels") from None
    except UnfitError as error:
        raise BadRow(str(error)) from None
    return data
