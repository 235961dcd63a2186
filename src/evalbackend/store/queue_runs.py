"""The runs of an annotation queue, in the order in which they were added."""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any

from evalbackend.errors import HttpError
from evalbackend.store.functions import marks
from evalbackend.store.queues import require_queue
from evalbackend.store.runs_read import RunReader
from evalbackend.wire.values import now_text, optional_time

# What a review has come to. There is one reviewer here, so that nothing ever waits for another.
_STATUS = {
    None: "1",
    "needs_my_review": "q.completed_at IS NULL",
    "needs_others_review": "0",
    "completed": "q.completed_at IS NOT NULL",
}
_FROM = (
    "FROM annotation_queue_runs q JOIN runs ON runs.id = q.run_id AND runs.post_n > 0 WHERE q.queue_id = ?"
)
_COLUMNS = ("id", "queue_id", "run_id", "added_at", "last_reviewed_time", "source_proposed_example_id")
_ROW = ", ".join(f"q.{column}" for column in _COLUMNS)


@dataclass(frozen=True, slots=True)
class Added:
    """A run to add, and the proposed example that it came from."""

    run_id: str
    proposed: str | None = None


def add_runs(connection: sqlite3.Connection, queue_id: str, runs: list[Added]) -> list[dict[str, Any]]:
    """Add runs, all or none, and return their places; what is in the queue stays where it is.

    404 for an unknown queue, or for a run that has not arrived.
    """
    require_queue(connection, queue_id)
    now, known = now_text(), "SELECT start_time FROM runs WHERE id = ? AND post_n > 0"
    for run in runs:
        row = connection.execute(known, (run.run_id,)).fetchone()
        if row is None:
            raise HttpError(404, f"run {run.run_id} not found")
        connection.execute(
            "INSERT OR IGNORE INTO annotation_queue_runs "
            "(id, queue_id, run_id, start_time, added_at, source_proposed_example_id) VALUES (?, ?, ?, ?, ?, ?)",
            (str(uuid.uuid4()), queue_id, run.run_id, row[0], now, run.proposed),
        )
    sql = f"SELECT {_ROW} {_FROM} AND q.run_id = ?"
    rows = [connection.execute(sql, (queue_id, run.run_id)).fetchone() for run in runs]
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]


def page(
    connection: sqlite3.Connection,
    reader: RunReader,
    queue_id: str,
    status: str | None,
    limit: int,
    offset: int,
) -> list[dict[str, Any]]:
    """Return a page of the queue's runs; 404 for an unknown queue, 422 for an unknown status."""
    require_queue(connection, queue_id)
    sql = f"SELECT {_ROW} {_FROM} AND {_condition(status)} ORDER BY q.added_at, q.position LIMIT ? OFFSET ?"
    rows = connection.execute(sql, (queue_id, limit, offset)).fetchall()
    places = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    ids = [place["run_id"] for place in places]
    runs = {run["id"]: run for run in reader.select(f"WHERE id IN ({marks(ids)})", ids, None)}
    return [_placed(runs[place["run_id"]], place) for place in places]


def _placed(run: dict[str, Any], place: dict[str, Any]) -> dict[str, Any]:
    return {
        **run,
        "inputs": run["inputs"] or {},  # the SDK takes no null here
        "queue_run_id": place["id"],
        "added_at": place["added_at"],
        "effective_added_at": place["added_at"],
        "last_reviewed_time": place["last_reviewed_time"],
        "source_proposed_example_id": place["source_proposed_example_id"],
    }


def count(connection: sqlite3.Connection, queue_id: str, status: str | None) -> dict[str, int]:
    """Return how many runs the queue has; errors as for `page`."""
    require_queue(connection, queue_id)
    sql = f"SELECT COUNT(*) {_FROM} AND {_condition(status)}"
    return {"size": connection.execute(sql, (queue_id,)).fetchone()[0]}


def _condition(status: str | None) -> str:
    if status not in _STATUS:
        raise HttpError(422, f"status must be one of {', '.join(name for name in _STATUS if name)}")
    return _STATUS[status]


def remove_run(connection: sqlite3.Connection, queue_id: str, which: str) -> None:
    """Take a run out, by its own id or by that of its place; 404 if it is not in the queue."""
    require_queue(connection, queue_id)
    sql = "DELETE FROM annotation_queue_runs WHERE queue_id = ?1 AND (run_id = ?2 OR id = ?2)"
    if connection.execute(sql, (queue_id, which)).rowcount == 0:
        raise HttpError(404, f"run {which} is not in the queue")


def move_run(connection: sqlite3.Connection, queue_id: str, which: str, body: dict[str, Any]) -> None:
    """Set when a run was added, or last reviewed; 404 if it is not in the queue."""
    said = {
        name: optional_time(body[name], name) for name in ("added_at", "last_reviewed_time") if name in body
    }
    if said.get("added_at", "") is None:
        del said["added_at"]
    sets = "".join(f", {name} = ?" for name in said)
    changed = connection.execute(
        f"UPDATE annotation_queue_runs SET id = id{sets} WHERE queue_id = ? AND (run_id = ? OR id = ?)",  # noqa: S608
        (*said.values(), queue_id, which, which),
    )
    if changed.rowcount == 0:
        raise HttpError(404, f"run {which} is not in the queue")


def set_status(connection: sqlite3.Connection, place_id: str, body: dict[str, Any]) -> None:
    """Take note of a review: "completed" ends it, anything else leaves it open; 404 for an unknown place."""
    now = now_text()
    done = now if body.get("status") == "completed" else None
    added = optional_time(body.get("override_added_at"), "override_added_at")
    changed = connection.execute(
        "UPDATE annotation_queue_runs SET last_reviewed_time = ?, completed_at = ?, "
        "added_at = COALESCE(?, added_at) WHERE id = ?",
        (now, done, added, place_id),
    )
    if changed.rowcount == 0:
        raise HttpError(404, f"{place_id} is in no annotation queue")
