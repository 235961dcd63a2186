"""Sums over runs and feedback: what sessions and runs show beside their own fields."""

from __future__ import annotations

import math
import sqlite3
from decimal import Decimal
from typing import Any

import orjson

from evalbackend.store.functions import marks
from evalbackend.usage_rules import COSTS, COUNTS, USAGE, counted, plain, tells

# What the SDK files with `error` (client.py, create_feedback) has neither score nor value, and is an error.
_SUMS = (
    "SELECT {owner}, key, COUNT(*), COUNT(score), SUM(score), SUM(score * score), MIN(score), MAX(score), "
    "SUM(score IS NULL AND value IS NULL AND (json_extract(CAST(body AS TEXT), '$.error') IS TRUE "
    "OR json_extract(CAST(body AS TEXT), '$.extra.error') IS TRUE)) "
    "FROM feedback WHERE {where} GROUP BY 1, 2"
)
_TELLING = (
    "SELECT {owner}, key, value, comment, source_type FROM feedback "
    "WHERE {where} AND (value IS NOT NULL OR comment IS NOT NULL OR source_type IS NOT NULL)"
)
_COMMENTS = 3


def run_feedback_stats(
    connection: sqlite3.Connection, ids: list[str], comparison: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return run id -> key -> {n, avg, stdev, min, max, errors, values, comments, sources}.

    With a comparison, what was said of a run in another one is not counted.
    """
    where, args = f"run_id IN ({marks(ids)})", list(ids)
    if comparison is not None:
        where += " AND (comparative_experiment_id IS NULL OR comparative_experiment_id = ?)"
        args.append(comparison)
    return _feedback_stats(connection, "run_id", where, args)


def session_feedback_stats(
    connection: sqlite3.Connection, session_id: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (stats of the session's runs, stats of the session itself: those of summary evaluators)."""
    of_runs = (
        "run_id IS NOT NULL AND (session_id = ? OR session_id IS NULL AND run_id IN "
        "(SELECT id FROM runs WHERE session_id = ?))"
    )
    runs = _feedback_stats(connection, "'all'", of_runs, [session_id, session_id])
    own = _feedback_stats(connection, "'all'", "run_id IS NULL AND session_id = ?", [session_id])
    return runs.get("all", {}), own.get("all", {})


def feedback_stats_of(connection: sqlite3.Connection, ids: str) -> dict[str, Any]:
    """Return key -> stats over all runs whose ids stand in a JSON array."""
    stats = _feedback_stats(connection, "'all'", "run_id IN (SELECT value FROM json_each(?))", [ids])
    found: dict[str, Any] = stats.get("all", {})
    return found


def comparative_feedback_stats(connection: sqlite3.Connection, comparative_id: str) -> dict[str, Any]:
    """Return key -> stats of the feedback that was given in a comparison."""
    stats = _feedback_stats(connection, "'all'", "comparative_experiment_id = ?", [comparative_id])
    found: dict[str, Any] = stats.get("all", {})
    return found


def _feedback_stats(
    connection: sqlite3.Connection, owner: str, where: str, args: list[str]
) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for who, key, n, scored, total, squares, low, high, errors in connection.execute(
        _SUMS.format(owner=owner, where=where), args
    ):
        mean = total / scored if scored and total is not None else None
        spread = None if mean is None else math.sqrt(max(squares / scored - mean * mean, 0.0))
        stats = {"n": n, "avg": mean, "stdev": spread, "min": low, "max": high, "errors": errors}
        found.setdefault(who, {})[key] = {**stats, "values": {}, "comments": [], "sources": []}
    for who, key, value, comment, source in connection.execute(
        _TELLING.format(owner=owner, where=where), args
    ):
        _tell(found[who][key], value, comment, source)
    return found


def _tell(stats: dict[str, Any], value: str | None, comment: str | None, source: str | None) -> None:
    if value is not None:
        stats["values"][value] = stats["values"].get(value, 0) + 1
    if comment is not None and len(stats["comments"]) < _COMMENTS:
        stats["comments"].append(comment)
    if source is not None and (text := orjson.dumps({"type": source}).decode()) not in stats["sources"]:
        stats["sources"].append(text)


def session_stats(connection: sqlite3.Connection, session_id: str) -> dict[str, Any]:
    """Return a session's statistics: counts, latencies of its roots; tokens, costs of all its runs."""
    latencies, errors, count, last = _roots(connection, session_id)
    of_runs, own = session_feedback_stats(connection, session_id)
    return {
        "run_count": count,
        "latency_p50": percentile(latencies, 0.50),
        "latency_p99": percentile(latencies, 0.99),
        "first_token_p50": None,
        "first_token_p99": None,
        "error_rate": errors / count if count else None,
        "last_run_start_time": last,
        "run_facets": [],
        "feedback_stats": of_runs,
        "session_feedback_stats": own,
        **_usage(connection, session_id),
    }


def _roots(connection: sqlite3.Connection, session_id: str) -> tuple[list[float], int, int, str | None]:
    sql = (
        "SELECT (julianday(end_time) - julianday(start_time)) * 86400.0, status = 'error', start_time "
        "FROM runs WHERE session_id = ? AND post_n > 0 AND parent_run_id IS NULL"
    )
    rows = connection.execute(sql, (session_id,)).fetchall()
    latencies = sorted(max(row[0], 0.0) for row in rows if row[0] is not None)
    return latencies, sum(row[1] for row in rows), len(rows), max((row[2] for row in rows), default=None)


def percentile(ordered: list[float], share: float) -> float | None:
    """Return the value below which `share` of the ordered values lie, between two of them if need be."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (ordered[high] - ordered[low]) * (place - low), 6)


def _usage(connection: sqlite3.Connection, session_id: str) -> dict[str, Any]:
    """Return the sums over a session's runs, each use of a model counted once."""
    sql = (
        f"SELECT {', '.join(counted('runs', name) for name in USAGE)} FROM runs "  # noqa: S608
        f"WHERE session_id = ? AND post_n > 0 AND {tells('runs')}"
    )
    told: dict[str, list[Any]] = {name: [] for name in USAGE}
    for row in connection.execute(sql, (session_id,)):
        for name, value in zip(USAGE, row, strict=True):
            if value is not None:
                told[name].append(value)
    costs = {name: sum(map(Decimal, told[name]), Decimal(0)) for name in COSTS if told[name]}
    return {
        **{name: sum(told[name]) for name in COUNTS},
        **{name: plain(costs[name]) if name in costs else None for name in COSTS},
    }
