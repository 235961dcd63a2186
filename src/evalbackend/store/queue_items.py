"""The items of an annotation queue, runs and threads, as the newer routes (/platform/...) show them."""

from __future__ import annotations

import base64
import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.filtering.runs import THREAD_ID
from evalbackend.store.functions import marks
from evalbackend.store.queues import require_queue
from evalbackend.wire.values import now_text, optional_time, time_text

# There is one reviewer here, so that nothing ever waits for another.
SECTIONS = {
    "needs_my_review": "q.completed_at IS NULL",
    "needs_others_review": "0",
    "archived": "q.completed_at IS NOT NULL",
}
_BUCKETS = {**SECTIONS, "all": "1"}
_OF_RUN = "(SELECT session_id FROM runs WHERE runs.id = q.run_id)"
_COLUMNS = {
    "id": "q.id", "queue_id": "q.queue_id", "run_id": "q.run_id", "thread_id": "q.thread_id",
    "project_id": f"COALESCE(q.project_id, {_OF_RUN})", "start_time": "q.start_time",
    "added_at": "q.added_at", "last_reviewed_time": "q.last_reviewed_time",
    "source_proposed_example_id": "q.source_proposed_example_id",
    "item_type": "CASE WHEN q.run_id IS NULL THEN 'THREAD' ELSE 'RUN' END",
}  # fmt: skip
_SELECT = f"SELECT {', '.join(_COLUMNS.values())}, q.position FROM annotation_queue_runs q"  # noqa: S608  our words and ? only
_THERE = "(q.run_id IS NULL OR EXISTS (SELECT 1 FROM runs WHERE runs.id = q.run_id AND runs.post_n > 0))"


@dataclass(frozen=True, slots=True)
class NewItem:
    """A run, or a thread of a project, to add; and the proposed example that it came from."""

    run_id: str | None = None
    thread_id: str | None = None
    project_id: str | None = None
    proposed: str | None = None


@dataclass(slots=True)
class ItemQuery:
    """Which items of a queue, and which page of them: after the cursor, or `backward` before it."""

    queue_id: str
    status: str
    where: list[str]
    args: list[Any]
    limit: int = 20
    cursor: str | None = None
    backward: bool = False


def item_query(queue_id: str, status: str, told: dict[str, str]) -> ItemQuery:
    """Return the items in one state of review, narrowed by what a query string tells; 422 for nonsense."""
    if status not in _BUCKETS:
        raise HttpError(422, f"status must be one of {', '.join(_BUCKETS)}")
    query = ItemQuery(queue_id, status, ["q.queue_id = ?", _THERE, _BUCKETS[status]], [queue_id])
    if (kind := told.get("item_type")) is not None:
        if kind not in ("RUN", "THREAD"):
            raise HttpError(422, "item_type must be RUN or THREAD")
        query.where.append(f"q.run_id IS {'NOT ' if kind == 'RUN' else ''}NULL")
    bounds = [("min_start_time", "q.start_time >= ?"), ("max_start_time", "q.start_time <= ?")]
    if status == "archived":
        bounds += [("start_time", "q.completed_at > ?"), ("end_time", "q.completed_at < ?")]
    for name, condition in bounds:
        if told.get(name) is not None and not told[name].startswith("0001-01-01"):  # the zero time: no bound
            query.where.append(condition)
            query.args.append(time_text(told[name], name))
    return query


def add_items(connection: sqlite3.Connection, queue_id: str, items: list[NewItem]) -> list[dict[str, Any]]:
    """Add items, all or none, and return them; what is in the queue stays where it is.

    404 for an unknown queue, a run that has not arrived, a thread that has no trace.
    """
    require_queue(connection, queue_id)
    now, added = now_text(), []
    for item in items:
        values = (queue_id, item.run_id, item.thread_id, item.project_id)
        connection.execute(
            "INSERT OR IGNORE INTO annotation_queue_runs (id, start_time, added_at, "
            "source_proposed_example_id, queue_id, run_id, thread_id, project_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (str(uuid.uuid4()), _start(connection, item), now, item.proposed, *values),
        )
        sql = "q.queue_id = ? AND q.run_id IS ? AND q.thread_id IS ? AND q.project_id IS ?"
        added.append(_shown(connection.execute(f"{_SELECT} WHERE {sql}", values).fetchone()))
    return added


def _start(connection: sqlite3.Connection, item: NewItem) -> str:
    if item.run_id is not None:
        sql, args = "SELECT start_time FROM runs WHERE id = ? AND post_n > 0", (item.run_id,)
    else:
        sql = (
            "SELECT MIN(start_time) FROM runs WHERE session_id = ? AND parent_run_id IS NULL AND post_n > 0 "  # noqa: S608  our words and ? only
            f"AND CAST({THREAD_ID} AS TEXT) = ?"
        )
        args = (item.project_id, item.thread_id)  # type: ignore[assignment]
    row = connection.execute(sql, args).fetchone()
    if row is None or row[0] is None:
        what = f"run {item.run_id}" if item.run_id else f"thread {item.thread_id} of {item.project_id}"
        raise HttpError(404, f"{what} not found")
    return str(row[0])


def list_items(connection: sqlite3.Connection, query: ItemQuery) -> dict[str, Any]:
    """Return a page in the order of adding; going backward, the page before the cursor. 404 if unknown."""
    require_queue(connection, query.queue_id)
    where, args = list(query.where), list(query.args)
    if query.cursor is not None:
        where.append(f"(q.added_at, q.position) {'<=' if query.backward else '>'} (?, ?)")
        args += _place(query.cursor)
    way = " DESC" if query.backward else ""
    sql = f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY q.added_at{way}, q.position{way} LIMIT ?"
    rows = connection.execute(sql, (*args, query.limit + 1)).fetchall()
    page, more = rows[: query.limit], len(rows) > query.limit
    following = make_place(page[-1][6], page[-1][-1] - query.backward) if more else None
    items = [
        {**_shown(row), "effective_added_at": row[6], "completed_by": [], "reserved_by": []} for row in page
    ]
    return {"items": items[::-1] if query.backward else items, "next_cursor": following}


def count_items(connection: sqlite3.Connection, query: ItemQuery) -> dict[str, int]:
    """Return how many items there are; 404 for an unknown queue."""
    require_queue(connection, query.queue_id)
    sql = f"SELECT COUNT(*) FROM annotation_queue_runs q WHERE {' AND '.join(query.where)}"  # noqa: S608
    return {"count": connection.execute(sql, query.args).fetchone()[0]}


def placement(connection: sqlite3.Connection, queue_id: str, item_id: str) -> dict[str, Any]:
    """Return in which section an item is, at which place from 0, and the cursor of a page that it begins."""
    item, position, done = _one(connection, queue_id, item_id)
    section = "archived" if done else "needs_my_review"
    query = item_query(queue_id, section, {})
    query.where.append("(q.added_at, q.position) < (?, ?)")
    query.args += [item["added_at"], position]
    before = count_items(connection, query)["count"]
    cursor = make_place(item["added_at"], position - 1)
    return {"item_type": item["item_type"], "section": section, "position": before, "cursor": cursor}


def update_item(
    connection: sqlite3.Connection, queue_id: str, item_id: str, body: dict[str, Any]
) -> dict[str, Any]:
    """Set when an item was added, or last reviewed, and return it; null changes nothing. 404 if unknown."""
    _one(connection, queue_id, item_id)
    times = [optional_time(body.get(name), name) for name in ("added_at", "last_reviewed_time")]
    connection.execute(
        "UPDATE annotation_queue_runs SET added_at = COALESCE(?, added_at), "
        "last_reviewed_time = COALESCE(?, last_reviewed_time) WHERE id = ?",
        (*times, item_id),
    )
    return _one(connection, queue_id, item_id)[0]


def delete_items(connection: sqlite3.Connection, queue_id: str, ids: list[str]) -> None:
    """Take items out; those that are not there are not missed. 404 for an unknown queue."""
    require_queue(connection, queue_id)
    for at in range(0, len(ids), 500):
        some = ids[at : at + 500]
        sql = f"DELETE FROM annotation_queue_runs WHERE queue_id = ? AND id IN ({marks(some)})"  # noqa: S608
        connection.execute(sql, (queue_id, *some))


def _one(
    connection: sqlite3.Connection, queue_id: str, item_id: str
) -> tuple[dict[str, Any], int, str | None]:
    where = f"WHERE q.queue_id = ? AND q.id = ? AND {_THERE}"
    row = connection.execute(f"{_SELECT} {where}", (queue_id, item_id)).fetchone()
    if row is None:
        raise HttpError(404, f"item {item_id} is not in the queue")
    sql = "SELECT completed_at FROM annotation_queue_runs WHERE id = ?"
    return _shown(row), row[-1], connection.execute(sql, (item_id,)).fetchone()[0]


def _shown(row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(_COLUMNS, row[:-1], strict=True))


def make_place(added_at: str, position: int) -> str:
    """Return the cursor of the gap after an item; one position less, that of the gap before it."""
    return base64.urlsafe_b64encode(orjson.dumps([added_at, position])).decode()


def _place(cursor: str) -> list[Any]:
    try:
        added_at, position = orjson.loads(base64.urlsafe_b64decode(cursor))
        place = [time_text(added_at, "cursor"), position]
    except (ValueError, TypeError, HttpError) as error:
        raise HttpError(400, "the cursor is not one that this server gave out") from error
    if isinstance(position, bool) or not isinstance(position, int) or not -(2**62) < position < 2**62:
        raise HttpError(400, "the cursor is not one that this server gave out")
    return place
