"""Threads: root runs that name the same conversation in their metadata, summed up."""

from __future__ import annotations

import base64
import sqlite3
from dataclasses import dataclass, field
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.filtering.runs import THREAD_ID
from evalbackend.store.functions import in_traces, marks
from evalbackend.store.runs_read import RunReader
from evalbackend.store.stats import feedback_stats_of, percentile
from evalbackend.store.v2_read import trace_totals
from evalbackend.wire.v2_shape import Run, seconds_of

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_COSTS = ("prompt_cost", "completion_cost", "total_cost")
_DETAILS = (
    "prompt_token_details",
    "completion_token_details",
    "prompt_cost_details",
    "completion_cost_details",
)
_FIELDS = ["thread_id", "error", "inputs_preview", "outputs_preview", "parent_run_id"]
_PREVIEW = 200


@dataclass(slots=True)
class Roots:
    """A condition over the root runs of one project that belong to threads."""

    where: list[str]
    args: list[Any]
    limit: int = 20
    cursor: str | None = None
    threads: list[tuple[str, list[Any]]] = field(default_factory=list)  # what one root of a thread must meet

    def add(self, condition: str, *args: Any) -> None:
        """Narrow the roots."""
        self.where.append(condition)
        self.args += args


def roots_of(project: str) -> Roots:
    """Return all roots of a project that belong to threads."""
    where = ["session_id = ?", "parent_run_id IS NULL", "post_n > 0", f"{THREAD_ID} IS NOT NULL"]
    return Roots(where, [project])


def thread_page(reader: RunReader, roots: Roots) -> dict[str, Any]:
    """Return a page of threads, the one with the latest start first."""
    _narrow(roots)
    found = _picked(reader.connection, roots)
    page = found[: roots.limit]
    more = _made(page[-1]) if len(found) > roots.limit else None
    if not page:
        return {"items": [], "next_cursor": None}
    roots.add(f"{THREAD_ID} IN ({marks(page)})", *(thread for thread, _ in page))
    of_thread: dict[str, list[Run]] = {}
    for run in _runs(reader, roots, _FIELDS):
        of_thread.setdefault(run["thread_id"], []).append(run)
    items = [_thread(reader.connection, str(thread), of_thread[str(thread)]) for thread, _ in page]
    return {"items": items, "next_cursor": more}


def _narrow(roots: Roots) -> None:
    for condition, args in roots.threads:
        scope = " AND ".join([*roots.where[:4], condition])
        roots.add(f"{THREAD_ID} IN (SELECT {THREAD_ID} FROM runs WHERE {scope})", roots.args[0], *args)  # noqa: S608


def project_stats(reader: RunReader, roots: Roots) -> dict[str, Any]:
    """Return the sums over the traces of all threads that are asked for."""
    _narrow(roots)
    runs = _runs(reader, roots, ["thread_id", *_DETAILS])
    sums = sums_of(reader.connection, runs)
    ids = [run["id"] for run in runs]
    totals = trace_totals(reader.connection, ids)
    spoke = {trace: told["first_token_time"] for trace, told in totals.items() if told["first_token_time"]}
    first = sorted(
        seconds_of({**run, "end_time": spoke[run["id"]]}) or 0.0 for run in runs if run["id"] in spoke
    )
    tokens = sorted(
        float(told["total_tokens"]) for told in totals.values() if told["total_tokens"] is not None
    )
    ended = [run["id"] for run in runs if run["end_time"]]
    median = percentile(tokens, 0.5)
    return {
        **sums,
        **{name: sums[name]["raw"] for name in _DETAILS},
        "thread_count": len({run["thread_id"] for run in runs}),
        "trace_count": len(runs),
        "error_rate": _failed(reader.connection, ids) / len(ids) if ids else None,
        "streaming_rate": sum(one in spoke for one in ended) / len(ended) if ended else None,
        "median_tokens": None if median is None else int(median),
        "first_token_p50_seconds": percentile(first, 0.50),
        "first_token_p99_seconds": percentile(first, 0.99),
        "thread_feedback_stats": {},  # feedback is on runs and on sessions here, never on a thread
    }


def _failed(connection: sqlite3.Connection, traces: list[str]) -> int:
    sql = (
        f"SELECT COUNT(DISTINCT trace_id) FROM runs WHERE {in_traces('SELECT value FROM json_each(?1)')} "  # noqa: S608
        "AND post_n > 0 AND status = 'error'"
    )
    return int(connection.execute(sql, (orjson.dumps(traces).decode(),)).fetchone()[0])


def _picked(connection: sqlite3.Connection, roots: Roots) -> list[tuple[Any, str]]:
    having, place = "", []
    if roots.cursor is not None:
        having, place = "HAVING (MAX(start_time), thread) < (?, ?)", _read(roots.cursor)
    sql = (
        f"SELECT thread, MAX(start_time) FROM (SELECT {THREAD_ID} AS thread, start_time FROM runs "  # noqa: S608
        f"WHERE {' AND '.join(roots.where)}) GROUP BY thread {having} ORDER BY 2 DESC, 1 DESC LIMIT ?"
    )
    return connection.execute(sql, (*roots.args, *place, roots.limit + 1)).fetchall()


def _made(last: tuple[Any, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([last[1], last[0]])).decode()


def _read(cursor: str) -> list[Any]:
    try:
        start, thread = orjson.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError):
        raise HttpError(400, "the cursor is not one that this server gave out") from None
    if not isinstance(start, str) or not isinstance(thread, (str, int, float)):
        raise HttpError(400, "the cursor is not one that this server gave out")
    return [start, thread]


def _runs(reader: RunReader, roots: Roots, fields: list[str]) -> list[Run]:
    tail = f"WHERE {' AND '.join(roots.where)} ORDER BY start_time, id"
    return reader.select(tail, roots.args, fields)


def _thread(connection: sqlite3.Connection, thread_id: str, runs: list[Run]) -> dict[str, Any]:
    sums = sums_of(connection, runs)
    errors = [run for run in runs if run["status"] == "error"]
    return {
        "thread_id": thread_id,
        "trace_id": runs[0]["id"],
        "count": len(runs),
        "first_trace_id": runs[0]["id"],
        "last_trace_id": runs[-1]["id"],
        "first_inputs": runs[0]["inputs_preview"],
        "last_outputs": runs[-1]["outputs_preview"],
        "last_error": errors[-1]["error"][:_PREVIEW] if errors else None,
        "num_errored_turns": len(errors),
        "start_time": runs[-1]["start_time"],
        "min_start_time": runs[0]["start_time"],
        "max_start_time": runs[-1]["start_time"],
        "latency_p50": sums["latency_p50_seconds"],
        "latency_p99": sums["latency_p99_seconds"],
        "total_tokens": sums["total_tokens"],
        "total_cost": sums["total_cost"],
        "feedback_stats": sums["feedback_stats"],
    }


def sums_of(connection: sqlite3.Connection, runs: list[Run]) -> dict[str, Any]:
    """Return what is summed up over whole traces, whose root runs these are, in order of their start."""
    ids = [run["id"] for run in runs]
    totals = trace_totals(connection, ids).values()
    took = sorted(seconds for run in runs if (seconds := seconds_of(run)) is not None)
    ends = [run["end_time"] for run in runs if run["end_time"]]
    return {
        "turns": len(runs),
        "first_start_time": runs[0]["start_time"] if runs else None,
        "last_start_time": runs[-1]["start_time"] if runs else None,
        "last_end_time": max(ends, default=None),
        "latency_p50_seconds": percentile(took, 0.50),
        "latency_p99_seconds": percentile(took, 0.99),
        **{name: sum(total[name] or 0 for total in totals) for name in (*_COUNTS, *_COSTS)},
        **{name: _details(runs, name) for name in _DETAILS},
        "feedback_stats": feedback_stats_of(connection, orjson.dumps(ids).decode()),
    }


def _details(runs: list[Run], name: str) -> dict[str, dict[str, Any]]:
    summed: dict[str, Any] = {}
    for run in runs:
        for key, value in (run.get(name) or {}).items():
            if isinstance(value, (int, float)):
                summed[key] = summed.get(key, 0) + value
    return {"raw": summed}


def thread_stats(reader: RunReader, roots: Roots) -> dict[str, Any]:
    """Return the sums over the traces of one thread."""
    return sums_of(reader.connection, _runs(reader, roots, []))


def thread_traces(reader: RunReader, roots: Roots, fields: list[str], offset: int) -> tuple[list[Run], bool]:
    """Return (a page of a thread's root runs, first start first; whether more follow)."""
    turns = {run: number for number, run in enumerate(_turns(reader.connection, roots), 1)}
    tail = f"WHERE {' AND '.join(roots.where)} ORDER BY start_time, id LIMIT ? OFFSET ?"
    runs = reader.select(tail, [*roots.args, roots.limit + 1, offset], fields)
    for run in runs:
        run["turn_number"] = turns[run["id"]]
    return runs[: roots.limit], len(runs) > roots.limit


def _turns(connection: sqlite3.Connection, roots: Roots) -> list[str]:
    # The first five conditions are the project and the thread; what follows are the caller's filters.
    sql = f"SELECT id FROM runs WHERE {' AND '.join(roots.where[:5])} ORDER BY start_time, id"  # noqa: S608
    return [row[0] for row in connection.execute(sql, roots.args[:2])]
