"""What the store holds: datasets, their experiments and examples, and projects."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from evalbackend.errors import HttpError
from evalbackend.store.functions import like
from evalbackend.store.standing import Standing
from evalbackend.web.fill import LATENCY
from evalbackend.web.text import HEAD, Field, preview

PAGE = 50
_LATENCY = LATENCY.format(end="end_time", start="start_time")
_ROOTS = (
    "(SELECT COUNT(*) FROM runs INDEXED BY roots_by_session WHERE session_id = s.id AND post_n > 0 "
    "AND parent_run_id IS NULL)"
)
_ANY = "SELECT 1 FROM runs WHERE session_id = s.id AND post_n >= 0"
_DATASETS = """
SELECT d.id, d.name, d.description, d.created_at,
    (SELECT COUNT(*) FROM example_versions e WHERE e.dataset_id = d.id AND e.valid_to IS NULL) AS examples,
    (SELECT COUNT(*) FROM sessions s WHERE s.reference_dataset_id = d.id) AS experiments,
    (SELECT MAX(start_time) FROM sessions s WHERE s.reference_dataset_id = d.id) AS latest
FROM datasets d WHERE d.name LIKE ? ESCAPE '\\'
ORDER BY COALESCE(latest, d.created_at) DESC, d.id LIMIT ? OFFSET ?"""
_SESSIONS = f"""
SELECT s.id, s.name, s.description, s.start_time, {_ROOTS} AS roots
FROM sessions s WHERE {{where}} ORDER BY s.start_time DESC, s.id DESC LIMIT ? OFFSET ?"""  # noqa: S608

_ROWS = f"""
SELECT id, name, start_time, {_LATENCY} AS latency, status, post_n, 0 AS below, substr(error, 1, 400) AS error,
    substr(inputs, 1, {HEAD}) AS inputs, substr(outputs, 1, {HEAD}) AS outputs FROM runs WHERE session_id = ?1"""  # noqa: S608
_WHOLE = (
    f"{_ROWS} AND post_n > 0 AND parent_run_id IS NULL ORDER BY start_time DESC, id DESC LIMIT ? OFFSET ?"
)
# Roots of which only the end has arrived, and those of which nothing has but runs below them; the second are looked
# for among the runs that began in the time of one page, and not among all of the project.
_HEADLESS = f"""
{_ROWS} AND post_n = 0 AND parent_run_id IS NULL AND COALESCE(start_time, end_time, '9998') >= ?2
    AND COALESCE(start_time, end_time, '9998') < ?3
UNION ALL
SELECT trace_id, NULL, MIN(start_time), NULL, 'absent', 0, COUNT(*), NULL, NULL, NULL FROM (
    SELECT trace_id, start_time FROM runs INDEXED BY runs_by_session WHERE session_id = ?1
    AND start_time >= ?2 AND start_time < ?3 AND trace_id <> id AND post_n >= 0
    ORDER BY start_time DESC LIMIT 20000) AS part
GROUP BY trace_id HAVING NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = part.trace_id AND post_n >= 0)
ORDER BY 3 DESC LIMIT 50"""  # noqa: S608


def _dicts(connection: sqlite3.Connection, sql: str, args: tuple[Any, ...]) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, args)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def datasets(connection: sqlite3.Connection, search: str, page: int) -> tuple[list[dict[str, Any]], int]:
    """Return a page of datasets, the one that was used last first, and how many there are."""
    rows = _dicts(connection, _DATASETS, (like(search), PAGE, (page - 1) * PAGE))
    count = "SELECT COUNT(*) FROM datasets WHERE name LIKE ? ESCAPE '\\'"
    return rows, connection.execute(count, (like(search),)).fetchone()[0]


def projects(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the latest sessions that belong to no dataset and hold runs."""
    where = f"s.reference_dataset_id IS NULL AND EXISTS ({_ANY})"
    return _dicts(connection, _SESSIONS.format(where=where), (PAGE, 0))


def dataset(connection: sqlite3.Connection, dataset_id: str) -> dict[str, Any]:
    """Return a dataset; 404 if unknown."""
    found = _dicts(
        connection,
        "SELECT id, name, description, created_at, (SELECT COUNT(*) FROM example_versions e WHERE "
        "e.dataset_id = datasets.id AND e.valid_to IS NULL) AS examples FROM datasets WHERE id = ?",
        (dataset_id,),
    )
    if not found:
        raise HttpError(404, "there is no such dataset")
    return found[0]


def name_of(connection: sqlite3.Connection, dataset_id: str) -> str:
    """Return a dataset's name; 404 if unknown."""
    row = connection.execute("SELECT name FROM datasets WHERE id = ?", (dataset_id,)).fetchone()
    if row is None:
        raise HttpError(404, "there is no such dataset")
    return str(row[0])


def siblings(connection: sqlite3.Connection, session_id: str, dataset_id: str) -> list[dict[str, Any]]:
    """Return ids, names and starts of the latest other experiments over a dataset."""
    sql = (
        "SELECT id, name, start_time FROM sessions WHERE reference_dataset_id = ? AND id <> ? "
        "ORDER BY start_time DESC, id DESC LIMIT ?"
    )
    return _dicts(connection, sql, (dataset_id, session_id, PAGE))


def experiments(
    connection: sqlite3.Connection, dataset_id: str, page: int, size: int, standing: Callable[[str], Standing]
) -> tuple[list[dict[str, Any]], int]:
    """Return a page of a dataset's experiments, latest first, and how many there are."""
    sql = _SESSIONS.format(where="s.reference_dataset_id = ?")
    rows = _dicts(connection, sql, (dataset_id, size, (page - 1) * size))
    for row in rows:
        counts = standing(row["id"])
        row |= {"planned": counts.planned, "visible": counts.visible}
    count = "SELECT COUNT(*) FROM sessions WHERE reference_dataset_id = ?"
    return rows, connection.execute(count, (dataset_id,)).fetchone()[0]


def examples(
    connection: sqlite3.Connection, dataset_id: str, search: str, page: int
) -> tuple[list[dict[str, Any]], int]:
    """Return a page of a dataset's present examples, and how many there are."""
    where, args = "dataset_id = ? AND valid_to IS NULL", [dataset_id]
    if search:
        where += (
            " AND (CAST(inputs AS TEXT) LIKE ? ESCAPE '\\' OR CAST(outputs AS TEXT) LIKE ? ESCAPE '\\' "
            "OR example_id LIKE ? ESCAPE '\\')"
        )
        args += [like(search)] * 3
    total = connection.execute(f"SELECT COUNT(*) FROM example_versions WHERE {where}", args).fetchone()[0]  # noqa: S608
    rows = _dicts(
        connection,
        f"SELECT example_id, substr(inputs, 1, {HEAD}) AS inputs, substr(outputs, 1, {HEAD}) AS outputs, "  # noqa: S608
        f"metadata, valid_from FROM example_versions WHERE {where} ORDER BY created_at, example_id LIMIT ? OFFSET ?",
        (*args, PAGE, (page - 1) * PAGE),
    )
    for row in rows:
        row |= {"inputs": _cell(row["inputs"]), "reference": _cell(row["outputs"])}
    return rows, total


def roots(connection: sqlite3.Connection, session_id: str, page: int) -> tuple[list[dict[str, Any]], int]:
    """Return a page of a project's traces, latest first, and how many there are; also those without a beginning.

    These are not counted: each is on the page of its time.
    """
    count = "SELECT COUNT(*) FROM runs WHERE session_id = ? AND post_n > 0 AND parent_run_id IS NULL"
    total = connection.execute(count, (session_id,)).fetchone()[0]
    rows = _dicts(connection, _WHOLE, (session_id, PAGE + 1, (page - 1) * PAGE))
    since = rows[PAGE]["start_time"] if len(rows) > PAGE else ""
    until = rows[0]["start_time"] if rows and page > 1 else "9999"
    rows = rows[:PAGE]
    if rows or page == 1:
        rows += _dicts(connection, _HEADLESS, (session_id, since, until))
    rows.sort(key=lambda row: row["start_time"] or "9998", reverse=True)
    for row in rows:
        row |= {"inputs": _cell(row["inputs"]), "outputs": _cell(row["outputs"])}
    return rows, total


def _cell(raw: bytes | None) -> list[Field]:
    return preview(raw)
