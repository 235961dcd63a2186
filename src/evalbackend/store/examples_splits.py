"""Splits: names that examples carry in `metadata.dataset_split`."""

from __future__ import annotations

import sqlite3

import orjson

from evalbackend.errors import HttpError
from evalbackend.store.datasets import require_dataset
from evalbackend.store.examples_write import update_examples
from evalbackend.store.functions import marks
from evalbackend.store.versions import LATEST, moment
from evalbackend.wire.examples import ExampleWrite

BASE = "base"
_AT_ONCE = 500


def list_splits(connection: sqlite3.Connection, dataset_id: str, when: str | None) -> list[str]:
    """Return the names of the splits that have examples, in order; `when` is a time or a tag."""
    require_dataset(connection, dataset_id)
    stamp = moment(connection, dataset_id, when or LATEST)
    rows = connection.execute(
        "SELECT DISTINCT split.value FROM example_versions e, json_each(e.metadata, '$.dataset_split') split "
        "WHERE e.dataset_id = ? AND e.valid_from <= ? AND (e.valid_to IS NULL OR e.valid_to > ?) ORDER BY 1",
        (dataset_id, stamp, stamp),
    )
    return [name for (name,) in rows]


def change_split(
    connection: sqlite3.Connection, dataset_id: str, name: str, ids: list[str], remove: bool
) -> None:
    """Put examples into a split, or take them out, in one version; 404 unless all are of the dataset.

    What is then in no split is in "base".
    """
    require_dataset(connection, dataset_id)
    now = _splits_of(connection, dataset_id, ids)
    writes = []
    for one in dict.fromkeys(ids):
        if one not in now:
            raise HttpError(404, f"example {one} is not in the dataset")
        after = [split for split in now[one] if split != name] or [BASE] if remove else [*now[one], name]
        if remove == (name in now[one]):
            writes.append(ExampleWrite(one, split=after))
    if writes:
        update_examples(connection, dataset_id, writes)


def _splits_of(connection: sqlite3.Connection, dataset_id: str, ids: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for at in range(0, len(ids), _AT_ONCE):
        some = ids[at : at + _AT_ONCE]
        sql = (
            "SELECT example_id, metadata FROM example_versions "  # noqa: S608
            f"WHERE dataset_id = ? AND valid_to IS NULL AND example_id IN ({marks(some)})"
        )
        for example_id, metadata in connection.execute(sql, (dataset_id, *some)):
            found[example_id] = orjson.loads(metadata)["dataset_split"]
    return found
