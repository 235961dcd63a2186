"""Write examples: every write is a version, so that a dataset can be read as it was at any earlier time."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.store.functions import marks
from evalbackend.store.runs_write import put_blob
from evalbackend.store.schemas import UNCHECKED, Checked, require_checked
from evalbackend.store.versions import new_version
from evalbackend.wire.examples import ExampleWrite

_INSERT = (
    "INSERT INTO example_versions "
    "(example_id, dataset_id, created_at, valid_from, source_run_id, metadata, inputs, outputs) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_CURRENT = "example_id = ? AND valid_to IS NULL"
_Names = dict[str, tuple[str, str]]  # attachment name -> (mime, sha)


def create_examples(
    connection: sqlite3.Connection, dataset_id: str, writes: list[ExampleWrite], checked: Checked = UNCHECKED
) -> str:
    """Add examples, all or none, and return the new version's time; 404 unknown dataset, 409 known id.

    `checked` is what is known to keep to the dataset's schemas; 409 if something else would be written.
    """
    stamp = new_version(connection, dataset_id)
    ids = [write.id for write in writes]
    for at in range(0, len(ids), 500):
        some = ids[at : at + 500]
        taken = f"SELECT example_id FROM example_versions WHERE example_id IN ({marks(some)}) AND valid_to IS NULL"  # noqa: S608
        row = connection.execute(taken, some).fetchone()
        if row is not None:
            raise HttpError(409, f"example {row[0]} already exists")
    for write in writes:
        _create(connection, dataset_id, write, stamp, checked)
    return stamp


def _create(
    connection: sqlite3.Connection, dataset_id: str, write: ExampleWrite, stamp: str, checked: Checked
) -> None:
    attachments = _stored(connection, write)
    if write.source_run_id is not None and (write.use_source_run_io or write.use_source_run_attachments):
        _copy_run(connection, write, attachments)
    if write.inputs is None:
        raise HttpError(422, f"example {write.id} has no inputs")
    require_checked(connection, dataset_id, write, checked)
    metadata = _with_split(write.metadata or {}, write.split, ["base"])
    created = write.created_at or stamp
    values = (
        write.id,
        dataset_id,
        created,
        stamp,
        write.source_run_id,
        metadata,
        write.inputs,
        write.outputs,
    )
    _insert(connection, values, attachments)


def _copy_run(connection: sqlite3.Connection, write: ExampleWrite, attachments: _Names) -> None:
    run = connection.execute(
        "SELECT inputs, outputs FROM runs WHERE id = ?", (write.source_run_id,)
    ).fetchone()
    if run is None:
        raise HttpError(404, f"run {write.source_run_id} not found")
    if write.use_source_run_io:
        write.inputs = write.inputs or run[0]
        write.outputs = write.outputs or run[1]
    sql = "SELECT name, mime, sha FROM run_attachments WHERE run_id = ?"
    for name, mime, sha in connection.execute(sql, (write.source_run_id,)):
        if write.use_source_run_io or name in write.use_source_run_attachments:
            attachments.setdefault(name, (mime, sha))


def update_examples(
    connection: sqlite3.Connection, dataset_id: str, writes: list[ExampleWrite], checked: Checked = UNCHECKED
) -> str:
    """Change examples, all or none, and return the new version's time; what is not said stays.

    404 for an unknown dataset or example, 409 for an example of another dataset.
    """
    stamp = new_version(connection, dataset_id)
    for write in writes:
        _update(connection, dataset_id, write, stamp, checked)
    return stamp


def upsert_examples(
    connection: sqlite3.Connection, dataset_id: str, writes: list[ExampleWrite], checked: Checked = UNCHECKED
) -> str:
    """Add the examples that are not there and change the others, all or none; errors as for both."""
    stamp = new_version(connection, dataset_id)
    sql = f"SELECT 1 FROM example_versions WHERE {_CURRENT}"  # noqa: S608
    for write in writes:
        known = connection.execute(sql, (write.id,)).fetchone() is not None
        (_update if known else _create)(connection, dataset_id, write, stamp, checked)
    return stamp


def dataset_of(connection: sqlite3.Connection, example_id: str) -> str:
    """Return the id of an example's dataset; 404 if there is no such example now."""
    sql = f"SELECT dataset_id FROM example_versions WHERE {_CURRENT}"  # noqa: S608
    row = connection.execute(sql, (example_id,)).fetchone()
    if row is None:
        raise HttpError(404, f"example {example_id} not found")
    return str(row[0])


def _update(
    connection: sqlite3.Connection, dataset_id: str, write: ExampleWrite, stamp: str, checked: Checked
) -> None:
    columns = "version, dataset_id, created_at, source_run_id, metadata, inputs, outputs"
    sql = f"SELECT {columns} FROM example_versions WHERE {_CURRENT}"  # noqa: S608
    row = connection.execute(sql, (write.id,)).fetchone()
    if row is None:
        raise HttpError(404, f"example {write.id} not found")
    version, owner, created, source, metadata, inputs, outputs = row
    if owner != dataset_id:
        raise HttpError(409, f"example {write.id} belongs to another dataset")
    require_checked(connection, dataset_id, write, checked)
    old = orjson.loads(metadata)
    merged = _with_split(old if write.metadata is None else write.metadata, write.split, old["dataset_split"])
    attachments = _changed(_attached(connection, version), _stored(connection, write), write)
    connection.execute("UPDATE example_versions SET valid_to = ? WHERE version = ?", (stamp, version))
    inputs, outputs = write.inputs or inputs, write.outputs or outputs
    _insert(connection, (write.id, owner, created, stamp, source, merged, inputs, outputs), attachments)


def _with_split(metadata: dict[str, Any], split: list[str] | None, otherwise: list[str]) -> str:
    told = metadata.get("dataset_split")
    if split is None:
        split = [told] if isinstance(told, str) else told if isinstance(told, list) and told else otherwise
    return orjson.dumps({**metadata, "dataset_split": split}).decode()


def _stored(connection: sqlite3.Connection, write: ExampleWrite) -> _Names:
    return {name: (mime, put_blob(connection, data)) for name, (mime, data) in write.attachments.items()}


def _attached(connection: sqlite3.Connection, version: int) -> _Names:
    sql = "SELECT name, mime, sha FROM example_attachments WHERE version = ?"
    return {name: (mime, sha) for name, mime, sha in connection.execute(sql, (version,))}


def _changed(old: _Names, new: _Names, write: ExampleWrite) -> _Names:
    if not write.replaces_attachments:
        return old
    kept = {name: old[name] for name in write.retain or [] if name in old}
    renamed = {after: old[before] for before, after in (write.rename or {}).items() if before in old}
    return {**kept, **renamed, **new}


def _insert(connection: sqlite3.Connection, values: tuple[Any, ...], attachments: _Names) -> None:
    version = connection.execute(_INSERT, values).lastrowid
    rows = [(version, name, mime, sha) for name, (mime, sha) in attachments.items()]
    connection.executemany(
        "INSERT INTO example_attachments (version, name, mime, sha) VALUES (?, ?, ?, ?)", rows
    )
