"""Write runs: one create and one update per run, whatever the order in which they arrive."""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from evalbackend.prices import Prices
from evalbackend.store.feedback import upsert_feedback
from evalbackend.store.functions import marks
from evalbackend.store.runs_example import tell_examples
from evalbackend.store.runs_limit import beyond_limit
from evalbackend.store.runs_price import price, unprice
from evalbackend.wire.ingest import Batch, Kind, RunAttachment, RunOp
from evalbackend.wire.values import now_text

_COLUMNS = (
    "session_id", "trace_id", "parent_run_id", "dotted_order", "name", "run_type", "start_time", "end_time",
    "first_token_time", "reference_example_id", "prompt_tokens", "completion_tokens", "total_tokens",
    "prompt_cost", "completion_cost", "total_cost", "usage_details", "tags", "error", "extra", "inputs",
    "outputs", "events", "serialized",
)  # fmt: skip
_AT_ONCE = 500  # ids per SELECT


# Columns of indexes, which an UPDATE writes anew even where nothing changes.
_PLACES = ("session_id", "trace_id", "parent_run_id", "dotted_order", "start_time", "reference_example_id")
_REST = tuple(column for column in _COLUMNS if column not in _PLACES)


def _insert(kind: Kind) -> str:
    # FAIL, as in all that writes a run or a score: with ABORT, the default, SQLite copies each page that a row is
    # about to change into a journal of that one statement, to undo it alone; here the job's savepoint undoes it.
    return f"INSERT OR FAIL INTO runs (id, {kind}_n, {', '.join(_COLUMNS)}) VALUES (?, 1, {marks(_COLUMNS)})"  # noqa: S608


def _merged(kind: Kind, columns: Iterable[str]) -> dict[str, str]:
    # The update's fields win over the create's, and neither wipes a field that it does not carry.
    merged = "COALESCE({0}, ?{1})" if kind == "post" else "COALESCE(?{1}, {0})"
    return {column: merged.format(column, number) for number, column in enumerate(columns, 2)}


def _complete(kind: Kind) -> str:
    values = ", ".join(f"{column} = {value}" for column, value in _merged(kind, _REST).items())
    return f"UPDATE OR FAIL runs SET {kind}_n = 1, {values} WHERE id = ?1"  # noqa: S608


def _move(kind: Kind) -> str:
    merged = _merged(kind, _PLACES)
    values = ", ".join(f"{column} = {value}" for column, value in merged.items())
    moved = " OR ".join(f"{column} IS NOT {value}" for column, value in merged.items())
    return f"UPDATE OR FAIL runs SET {values} WHERE id = ?1 AND ({moved})"  # noqa: S608


_KINDS: tuple[Kind, ...] = ("post", "patch")
_INSERT = {kind: _insert(kind) for kind in _KINDS}
_COMPLETE = {kind: _complete(kind) for kind in _KINDS}
_MOVE = {kind: _move(kind) for kind in _KINDS}


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch.

    Attributes:
        fresh: something in it was new: a run operation or a feedback.
        surplus: the runs that were not kept, because their traces are full.
    """

    fresh: bool
    surplus: list[RunOp] = field(default_factory=list)


def write_batch(
    connection: sqlite3.Connection, batch: Batch, whole: bool = False, prices: Prices | None = None
) -> Written:
    """Apply a batch, and work out what its runs cost that do not tell it.

    With `whole`, one repeated operation is enough to apply nothing of it.
    """
    seen = _received(connection, {op.run_id for op in batch.ops})
    known = {run_id for _, run_id in seen}
    fresh, repeated = _sorted_out(seen, batch.ops)
    _count(connection, repeated)
    if repeated and whole:
        return Written(False)
    surplus = beyond_limit(connection, fresh)
    lost = {op.run_id for op in surplus}
    kept = [op for op in fresh if op.run_id not in lost] if lost else fresh
    _apply(connection, kept, known)
    if prices is not None:
        price(connection, {op.run_id for op in kept}, prices)
    _attach(connection, (one for one in batch.attachments if one.run_id not in lost))
    news = upsert_feedback(connection, batch.feedback)
    return Written(bool(fresh or news or not repeated), surplus)


def _sorted_out(seen: set[tuple[str, str]], ops: list[RunOp]) -> tuple[list[RunOp], list[RunOp]]:
    fresh: list[RunOp] = []
    repeated: list[RunOp] = []
    for op in ops:
        mark = (op.kind, op.run_id)
        (repeated if mark in seen else fresh).append(op)
        seen.add(mark)
    return fresh, repeated


def _received(connection: sqlite3.Connection, ids: set[str]) -> set[tuple[str, str]]:
    wanted = list(ids)
    seen: set[tuple[str, str]] = set()
    for at in range(0, len(wanted), _AT_ONCE):
        some = wanted[at : at + _AT_ONCE]
        query = f"SELECT id, post_n, patch_n FROM runs WHERE id IN ({marks(some)})"  # noqa: S608
        for run_id, posts, patches in connection.execute(query, some):
            if posts:
                seen.add(("post", run_id))
            if patches:
                seen.add(("patch", run_id))
    return seen


def _apply(connection: sqlite3.Connection, ops: list[RunOp], known: set[str]) -> None:
    names: dict[str, str] = {}
    for op in ops:
        _place(connection, op, names)
    unprice(connection, {op.run_id for op in ops})
    for kind in _KINDS:
        of_kind = [op for op in ops if op.kind == kind]
        _write(connection, _INSERT[kind], _COLUMNS, [op for op in of_kind if op.run_id not in known])
        there = [op for op in of_kind if op.run_id in known]
        _write(connection, _COMPLETE[kind], _REST, there)
        _write(connection, _MOVE[kind], _PLACES, there)
        known.update(op.run_id for op in of_kind)
    told = {op.run_id for op in ops if "extra" in op.values or "reference_example_id" in op.values}
    tell_examples(connection, told)


def _write(connection: sqlite3.Connection, sql: str, columns: tuple[str, ...], ops: list[RunOp]) -> None:
    connection.executemany(sql, ((op.run_id, *map(op.values.get, columns)) for op in ops))


def _place(connection: sqlite3.Connection, op: RunOp, names: dict[str, str]) -> None:
    """Give the operation its session and, to a create that lacks them, trace and dotted order."""
    values = op.values
    if "session_id" not in values and (op.session_name or op.kind == "post"):
        name = op.session_name or "default"
        if name not in names:
            names[name] = session_of_name(connection, name)
        values["session_id"] = names[name]
    if op.kind == "post" and ("trace_id" not in values or "dotted_order" not in values):
        trace, prefix = _parent(connection, values.get("parent_run_id"))
        values.setdefault("trace_id", trace or op.run_id)
        values.setdefault("dotted_order", prefix + _segment(values["start_time"], op.run_id))


def _parent(connection: sqlite3.Connection, parent: str | None) -> tuple[str | None, str]:
    if parent is None:
        return None, ""
    row = connection.execute("SELECT trace_id, dotted_order FROM runs WHERE id = ?", (parent,)).fetchone()
    return (row[0], f"{row[1]}." if row[1] else "") if row else (None, "")


def _segment(start_time: str, run_id: str) -> str:
    return datetime.fromisoformat(start_time).strftime("%Y%m%dT%H%M%S%fZ") + run_id


def session_of_name(connection: sqlite3.Connection, name: str) -> str:
    """Return the id of the session called `name`; one is made if there is none, as the service does."""
    row = connection.execute("SELECT id FROM sessions WHERE name = ?", (name,)).fetchone()
    if row is not None:
        return str(row[0])
    made = str(uuid.uuid4())
    connection.execute(
        "INSERT INTO sessions (id, name, start_time) VALUES (?, ?, ?)", (made, name, now_text())
    )
    return made


def _count(connection: sqlite3.Connection, repeated: list[RunOp]) -> None:
    for op in repeated:
        more = f"{op.kind}_n + CASE WHEN {op.kind}_n < 0 THEN -1 ELSE 1 END"  # negative: held back
        connection.execute(f"UPDATE runs SET {op.kind}_n = {more} WHERE id = ?", (op.run_id,))  # noqa: S608


def _attach(connection: sqlite3.Connection, attachments: Iterable[RunAttachment]) -> None:
    rows: list[tuple[Any, ...]] = []
    for item in attachments:
        rows.append((item.run_id, item.name, item.mime, put_blob(connection, item.data)))
    connection.executemany(
        "INSERT OR REPLACE INTO run_attachments (run_id, name, mime, sha) VALUES (?, ?, ?, ?)", rows
    )


def put_blob(connection: sqlite3.Connection, data: bytes) -> str:
    """Store the bytes, if they are not there, and return their SHA-256."""
    sha = hashlib.sha256(data).hexdigest()
    connection.execute("INSERT OR IGNORE INTO blobs (sha, data) VALUES (?, ?)", (sha, data))
    return sha
