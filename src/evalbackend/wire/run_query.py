"""The body of POST /runs/query, checked."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.filtering.grammar import Sql
from evalbackend.filtering.runs import of_run, of_trace
from evalbackend.store.functions import in_traces, marks
from evalbackend.wire.ingest import RUN_TYPES
from evalbackend.wire.values import time_text, uuid_text

PAGE = 100
ROOTS = "parent_run_id IS NULL"
_SCOPES = ("session", "session_id", "id", "trace", "parent_run", "reference_example")
_IDS = {
    "session": "session_id",
    "session_id": "session_id",  # so the SDK's read_run(load_child_runs=True) spells it
    "id": "id",
    "trace": "trace_id",
    "parent_run": "parent_run_id",
    "reference_example": "reference_example_id",
}


@dataclass(slots=True)
class RunQuery:
    """A condition over the runs table, an order, and a page."""

    where: list[str] = field(default_factory=lambda: ["post_n > 0"])
    args: list[Any] = field(default_factory=list)
    select: list[str] | None = None
    limit: int = PAGE
    ascending: bool = False

    def add(self, condition: str, *args: Any) -> None:
        """Narrow the query."""
        self.where.append(condition)
        self.args += args


def read_query(body: dict[str, Any]) -> RunQuery:
    """Return the query that a request's body asks for; 400 or 422 for what is malformed.

    A field that is not known here is not heeded, as the service does: clients of every age and language write
    some that have no meaning (any more).
    """
    given = {name: value for name, value in body.items() if value not in (None, "")}
    query = RunQuery(ascending=_ascending(given))
    _scope(query, given)
    _simple(query, given)
    sessions = [*as_list(given.get("session")), *as_list(given.get("session_id"))]
    add_filters(query, given, [uuid_text(one, "session") for one in sessions])
    _words(query, given)
    if "cursor" in given:
        start_after(query, _text(given["cursor"], "cursor"))
    query.select = _select(given.get("select"))
    query.limit = _limit(given.get("limit", PAGE))
    return query


def _scope(query: RunQuery, given: dict[str, Any]) -> None:
    if not any(name in given for name in _SCOPES):
        raise HttpError(400, f"at least one of {', '.join(_SCOPES)} must be given")
    narrow = any(name in given for name in _SCOPES[2:])
    for name in _SCOPES:
        if name in given:
            # The plus keeps SQLite from walking a whole session where ids, a trace or a parent are given.
            column = f"+{_IDS[name]}" if narrow and _IDS[name] == "session_id" else _IDS[name]
            ids = [uuid_text(item, name) for item in as_list(given[name])]
            add_ids(query, column, ids)


def add_ids(query: RunQuery, column: str, ids: list[str]) -> None:
    """Narrow to runs with one of some ids in a column."""
    if column == "trace_id":
        query.add(in_traces(marks(ids)), *ids, *ids)
    else:
        query.add(f"{column} IN ({marks(ids)})", *ids)


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, None as an empty one, anything else as a list of one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def add_filters(
    query: RunQuery, given: dict[str, Any], sessions: list[str], *, subtrees: bool = True
) -> None:
    """Narrow by `filter` (the run), `trace_filter` (its root) and `tree_filter` (any run of its trace).

    `subtrees`: the answer shows a run's tokens and costs with those of its descendants.
    """
    if given.get("filter") is not None:
        condition, args = of_run(_text(given["filter"], "filter"), subtrees=subtrees)
        query.add(condition, *args)
    for name in ("trace_filter", "tree_filter"):
        if given.get(name) is not None:
            condition, args = of_trace(_text(given[name], name), sessions, root=name == "trace_filter")
            query.add(condition, *args)


def _ascending(given: dict[str, Any]) -> bool:
    """Tell the order: `order`, else the older `order_by`, of which only the start can be honoured."""
    if "order" in given:
        return bool(given["order"] == "asc")
    first = next(iter(as_list(given.get("order_by"))), None)
    return first in ("start_time", "+start_time", "start_time asc")


def _words(query: RunQuery, given: dict[str, Any]) -> None:
    """Narrow by `query` (words) and `search_filter` (the filter language; anything else is words, too)."""
    for name, read in (("query", _search), ("search_filter", _filter_or_words)):
        if isinstance(told := given.get(name), str) and told.strip():
            condition, args = read(told)
            query.add(condition, *args)


def _search(words: str) -> Sql:
    return of_run(f"search({orjson.dumps(words).decode()})")


def _filter_or_words(text: str) -> Sql:
    try:
        return of_run(text)
    except HttpError:
        return _search(text)


def _simple(query: RunQuery, given: dict[str, Any]) -> None:
    if "run_type" in given:
        if not isinstance(given["run_type"], str) or given["run_type"].lower() not in RUN_TYPES:
            raise HttpError(422, f"run_type must be one of {', '.join(sorted(RUN_TYPES))}")
        query.add("run_type = ?", given["run_type"].lower())
    root = given.get("is_root", True if given.get("execution_order") == 1 else None)
    if root is not None:
        query.add(ROOTS if root else "parent_run_id IS NOT NULL")
    if "error" in given:
        query.add("status = 'error'" if given["error"] else "status <> 'error'")
    if "start_time" in given:
        query.add("start_time >= ?", time_text(given["start_time"], "start_time"))
    if "end_time" in given:
        query.add("end_time <= ?", time_text(given["end_time"], "end_time"))


def filters_of(value: Any, status: int) -> dict[str, list[str]]:
    """Return experiment id -> filters of its runs; `status` for anything else than that."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(
        isinstance(one, str) for some in value.values() for one in as_list(some)
    ):
        raise HttpError(status, "filters must map an experiment's id to a list of filters")
    return {uuid_text(session, "filters"): as_list(some) for session, some in value.items()}


def _text(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    raise HttpError(422, f"{what} must be a string")


def _select(value: Any) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise HttpError(422, "select must be a list of field names")


def _limit(value: Any) -> int:
    # The SDK passes on whatever limit its caller gave, and stops by itself: a page of 100 serves any limit.
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return min(value, PAGE)
    raise HttpError(422, "limit must be a positive integer")


def make_cursor(start_time: str, run_id: str) -> str:
    """Return an opaque text from which the next page starts."""
    return base64.urlsafe_b64encode(orjson.dumps([start_time, run_id])).decode()


def start_after(query: RunQuery, cursor: str) -> None:
    """Narrow to what follows the place that `make_cursor` told; 400 for any other text."""
    try:
        start_time, run_id = orjson.loads(base64.urlsafe_b64decode(cursor))
        place = (time_text(start_time, "cursor"), uuid_text(run_id, "cursor"))
    except (ValueError, TypeError, HttpError) as error:
        raise HttpError(400, "the cursor is not one that this server gave out") from error
    query.add(f"(start_time, id) {'>' if query.ascending else '<'} (?, ?)", *place)
