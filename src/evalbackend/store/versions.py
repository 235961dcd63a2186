"""Versions of a dataset: each write makes one, named by its time; a tag is a further name of one."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.store.functions import like
from evalbackend.wire.values import later_than, now_text, time_text

LATEST = "latest"
_Version = dict[str, Any]
_TAGS = (
    "(SELECT json_group_array(tag) FROM (SELECT tag FROM dataset_tags t WHERE t.dataset_id = v.dataset_id "
    "AND t.as_of = v.as_of ORDER BY tag))"
)
_NEWEST = "(SELECT MAX(as_of) FROM dataset_versions n WHERE n.dataset_id = v.dataset_id)"
_SELECT = f"SELECT v.as_of, {_TAGS}, v.as_of = {_NEWEST} FROM dataset_versions v WHERE v.dataset_id = ?"  # noqa: S608
# The examples that a dataset had at a time, each with the version in which it stood.
_THEN = (
    "SELECT example_id, version FROM example_versions WHERE dataset_id = ? AND valid_from <= ? "
    "AND (valid_to IS NULL OR valid_to > ?)"
)


def next_stamp(connection: sqlite3.Connection) -> str:
    """Return a time later than that of every earlier write, even if the clock was set back."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'last_example_write'").fetchone()
    now = now_text()
    stamp = now if row is None or now > row[0] else later_than(row[0])
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('last_example_write', ?)", (stamp,))
    return stamp


def new_version(connection: sqlite3.Connection, dataset_id: str) -> str:
    """Begin a version of the dataset and return its time; 404 if there is no such dataset."""
    stamp = next_stamp(connection)
    changed = connection.execute("UPDATE datasets SET modified_at = ? WHERE id = ?", (stamp, dataset_id))
    if changed.rowcount == 0:
        raise HttpError(404, f"dataset {dataset_id} not found")
    connection.execute("INSERT INTO dataset_versions (dataset_id, as_of) VALUES (?, ?)", (dataset_id, stamp))
    return stamp


def list_versions(
    connection: sqlite3.Connection, dataset_id: str, search: str | None, limit: int, offset: int
) -> list[_Version]:
    """Return a page of the versions, newest first; `search` finds those with a tag that contains it."""
    where, args = "", [dataset_id]
    if search:
        where = (
            " AND EXISTS (SELECT 1 FROM dataset_tags s WHERE s.dataset_id = v.dataset_id "
            "AND s.as_of = v.as_of AND s.tag LIKE ? ESCAPE '\\')"
        )
        args.append(like(search))
    rows = connection.execute(
        f"{_SELECT}{where} ORDER BY v.as_of DESC LIMIT ? OFFSET ?", (*args, limit, offset)
    )
    return [_shown(row) for row in rows]


def read_version(connection: sqlite3.Connection, dataset_id: str, when: str) -> _Version:
    """Return the version that held at a time, or that has a tag; 404 if there is none."""
    stamp = moment(connection, dataset_id, when)
    row = connection.execute(
        f"{_SELECT} AND v.as_of <= ? ORDER BY v.as_of DESC LIMIT 1", (dataset_id, stamp)
    ).fetchone()
    if row is None:
        raise HttpError(404, f"the dataset has no version as of {when}")
    return _shown(row)


def set_tag(connection: sqlite3.Connection, dataset_id: str, when: str, tag: str) -> _Version:
    """Name a version, and no other any more, by this tag; 404 unless the time is exactly a version's.

    The time of the dataset's creation counts as one: it is `modified_at` until something is written.
    """
    if not tag or tag == LATEST or is_time(tag):
        raise HttpError(422, "a tag must have a name of its own: neither 'latest' nor a time")
    known = (
        "SELECT 1 FROM dataset_versions WHERE dataset_id = ?1 AND as_of = ?2 "
        "UNION SELECT 1 FROM datasets WHERE id = ?1 AND created_at = ?2"
    )
    if connection.execute(known, (dataset_id, when)).fetchone() is None:
        raise HttpError(404, f"the dataset has no version of exactly {when}")
    connection.execute(
        "INSERT OR REPLACE INTO dataset_tags (dataset_id, tag, as_of) VALUES (?, ?, ?)",
        (dataset_id, tag, when),
    )
    row = connection.execute(f"{_SELECT} AND v.as_of = ?", (dataset_id, when)).fetchone()
    return {"as_of": when, "tags": [tag]} if row is None else _shown(row)


def diff(connection: sqlite3.Connection, dataset_id: str, before: str, after: str) -> dict[str, list[str]]:
    """Return which examples were modified, added and removed between two times or tags."""
    old, new = (
        dict(connection.execute(_THEN, (dataset_id, stamp, stamp)).fetchall())
        for stamp in (moment(connection, dataset_id, when) for when in (before, after))
    )
    return {
        "examples_modified": [one for one in new if one in old and old[one] != new[one]],
        "examples_added": [one for one in new if one not in old],
        "examples_removed": [one for one in old if one not in new],
    }


def moment(connection: sqlite3.Connection, dataset_id: str, when: str) -> str:
    """Return the time that a time, a tag or "latest" stands for; 404 for a tag that is not known."""
    if when == LATEST:
        return next(iter(_newest(connection, dataset_id)), now_text())
    if is_time(when):
        return time_text(when, "as_of")
    sql = "SELECT as_of FROM dataset_tags WHERE dataset_id = ? AND tag = ?"
    row = connection.execute(sql, (dataset_id, when)).fetchone()
    if row is None:
        raise HttpError(404, f"as_of {when!r} is neither a time nor a tag of the dataset")
    return str(row[0])


def _newest(connection: sqlite3.Connection, dataset_id: str) -> list[str]:
    sql = "SELECT as_of FROM dataset_versions WHERE dataset_id = ? ORDER BY as_of DESC LIMIT 1"
    return [row[0] for row in connection.execute(sql, (dataset_id,))]


def is_time(text: str) -> bool:
    """Return whether an `as_of` is a time; otherwise it is a tag."""
    try:
        time_text(text, "as_of")
    except HttpError:
        return False
    return True


def _shown(row: tuple[Any, ...]) -> _Version:
    stamp, tags, newest = row
    return {"as_of": stamp, "tags": orjson.loads(tags) + ([LATEST] if newest else [])}
