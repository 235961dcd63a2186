"""A run in full, also one whose beginning was lost, and the runs of an example.

Held back runs (post_n < 0) are not there; of a run with post_n = 0 only the end has arrived.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.http.presign import Signer
from evalbackend.store.functions import marks
from evalbackend.web.fill import LATENCY
from evalbackend.web.text import Field, fields, one_line, preview

_LATENCY = LATENCY.format(end="end_time", start="start_time")
_COLUMNS = (
    "id", "session_id", "trace_id", "parent_run_id", "name", "run_type", "start_time", "end_time",
    "reference_example_id", "prompt_tokens", "completion_tokens", "total_tokens", "total_cost", "tags", "error",
    "status", "latency", "post_n", "patch_n",
)  # fmt: skip
_RUN = f"SELECT {', '.join(_COLUMNS)} FROM (SELECT *, {_LATENCY} AS latency FROM runs) WHERE id = ? AND post_n >= 0"  # noqa: S608
_BELOW = (
    "SELECT session_id, trace_id FROM runs WHERE parent_run_id = ?1 AND post_n >= 0",
    "SELECT session_id, trace_id FROM runs WHERE trace_id = ?1 AND trace_id <> id AND post_n >= 0",
)


def read_run(connection: sqlite3.Connection, run_id: str) -> dict[str, Any]:
    """Return a run's small columns, as far as they have arrived; 404 if neither it nor a run below it has."""
    row = connection.execute(_RUN, (run_id,)).fetchone()
    run = dict(zip(_COLUMNS, row, strict=True)) if row is not None else _absent(connection, run_id)
    run["tags"] = orjson.loads(run["tags"]) if run["tags"] else []
    return run


def _absent(connection: sqlite3.Connection, run_id: str) -> dict[str, Any]:
    for sql in _BELOW:
        row = connection.execute(f"{sql} LIMIT 1", (run_id,)).fetchone()
        if row is not None:
            known = {"id": run_id, "session_id": row[0], "trace_id": row[1], "status": "absent"}
            return {**dict.fromkeys(_COLUMNS), **known, "post_n": 0, "patch_n": 0}
    raise HttpError(404, "there is no such run: nothing of it has arrived, or it was deleted")


def read_parts(connection: sqlite3.Connection, run_id: str) -> dict[str, list[Field]]:
    """Return the run's documents, cut to what a page shows."""
    names = ("inputs", "outputs", "extra", "events")
    sql = f"SELECT {', '.join(names)} FROM runs WHERE id = ? AND post_n >= 0"  # noqa: S608
    row = connection.execute(sql, (run_id,)).fetchone()
    return {name: fields(raw) for name, raw in zip(names, row or [None] * len(names), strict=True)}


def read_part(connection: sqlite3.Connection, run_id: str, name: str) -> bytes | str | None:
    """Return one document of a run, whole; `name` is a known column."""
    row = connection.execute(f"SELECT {name} FROM runs WHERE id = ? AND post_n >= 0", (run_id,)).fetchone()  # noqa: S608
    if row is None:
        raise HttpError(404, "there is no such run")
    value: bytes | str | None = row[0]
    return value


def read_scores(connection: sqlite3.Connection, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the scores of runs."""
    sql = (
        f"SELECT run_id, key, score, value, comment FROM feedback WHERE run_id IN ({marks(ids)}) "  # noqa: S608
        "ORDER BY created_at, id"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for run_id, key, score, value, comment in connection.execute(sql, ids):
        entry = {"key": key, "score": score, "value": value, "comment": comment}
        found.setdefault(run_id, []).append(entry)
    return found


def read_attachments(
    connection: sqlite3.Connection, signer: Signer, table: str, owner: str, value: str | int
) -> list[dict[str, Any]]:
    """Return the attachments of a run or of a version of an example, with addresses that work for an hour."""
    rows = connection.execute(
        f"SELECT name, mime, sha, (SELECT length(data) FROM blobs WHERE blobs.sha = {table}.sha) FROM {table} "  # noqa: S608
        f"WHERE {owner} = ? ORDER BY name",
        (value,),
    )
    return [
        {"name": name, "mime": mime, "size": size or 0, "url": signer.entry(sha, mime)["presigned_url"]}
        for name, mime, sha, size in rows
    ]


def linked_runs(connection: sqlite3.Connection, example_id: str, session: str | None) -> list[dict[str, Any]]:
    """Return the runs of an example, those of one experiment only if it is given, latest experiment first."""
    cursor = connection.execute(
        "SELECT r.id, r.name, r.session_id, s.name AS session, r.start_time, r.status, r.error, "  # noqa: S608
        "r.post_n, r.patch_n, "
        f"{LATENCY.format(end='r.end_time', start='r.start_time')} AS latency, "
        "substr(r.outputs, 1, 40000) AS outputs "
        "FROM runs r LEFT JOIN sessions s ON s.id = r.session_id WHERE r.reference_example_id = ?1 "
        "AND r.post_n >= 0 AND r.parent_run_id IS NULL AND (?2 IS NULL OR r.session_id = ?2) "
        "ORDER BY s.start_time DESC, s.id, r.start_time, r.id LIMIT 200",
        (example_id, session),
    )
    names = [column[0] for column in cursor.description]
    runs = [dict(zip(names, row, strict=True)) for row in cursor]
    scores = read_scores(connection, [run["id"] for run in runs])
    for run in runs:
        run["scores"] = scores.get(run["id"], [])
        run["outputs"] = preview(run["outputs"], 600)
        run["error"] = one_line(run["error"], 600) if run["error"] else None
    return runs


def read_example(connection: sqlite3.Connection, example_id: str, at: str | None) -> dict[str, Any]:
    """Return an example as it was at a time, else its last version; 404 if there never was one."""
    rows = connection.execute(
        "SELECT version, dataset_id, created_at, valid_from, valid_to, metadata, inputs, outputs FROM "
        "example_versions WHERE example_id = ? ORDER BY valid_from",
        (example_id,),
    ).fetchall()
    if not rows:
        raise HttpError(404, "there is no such example in this store")
    then = [row for row in rows if at is not None and row[3] <= at and (row[4] is None or row[4] > at)]
    row = then[0] if then else rows[-1]
    return {
        "id": example_id, "version": row[0], "dataset_id": row[1], "created_at": row[2], "valid_from": row[3],
        "gone": rows[-1][4] is not None, "versions": len(rows), "metadata": fields(row[5].encode()),
        "inputs": fields(row[6]), "reference": fields(row[7]), "then": bool(then),
    }  # fmt: skip
