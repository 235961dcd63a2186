"""What is summed up over the runs that a query finds."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from evalrunner.backend.run_query import RunQuery
from evalrunner.backend.store.stats import feedback_stats_of, percentile

_NAMES = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_cost",
    "completion_cost",
    "total_cost",
)
_SELECT = (
    "SELECT id, (julianday(end_time) - julianday(start_time)) * 86400.0, "  # noqa: S608
    "(julianday(first_token_time) - julianday(start_time)) * 86400.0, status = 'error', start_time, "
    f"{', '.join(f'CAST({name} AS REAL)' for name in _NAMES)} FROM runs"
)


def runs_stats(connection: sqlite3.Connection, query: RunQuery) -> dict[str, Any]:
    """Return counts, latencies, tokens, costs and feedback of the runs that the query finds."""
    rows = connection.execute(f"{_SELECT} WHERE {' AND '.join(query.where)}", query.args).fetchall()
    took, first = _ordered(rows, 1), _ordered(rows, 2)
    tokens = _ordered(rows, 5 + _NAMES.index("total_tokens"))
    sums = {name: sum(row[place] or 0 for row in rows) for place, name in enumerate(_NAMES, 5)}
    return {
        "run_count": len(rows),
        "latency_p50": percentile(took, 0.50),
        "latency_p99": percentile(took, 0.99),
        "first_token_p50": percentile(first, 0.50),
        "first_token_p99": percentile(first, 0.99),
        "median_tokens": percentile(tokens, 0.50),
        **{name: int(total) if name.endswith("tokens") else round(total, 9) for name, total in sums.items()},
        "last_run_start_time": max((row[4] for row in rows), default=None),
        "error_rate": sum(row[3] for row in rows) / len(rows) if rows else None,
        "streaming_rate": len(first) / len(rows) if rows else None,
        "feedback_stats": feedback_stats_of(connection, orjson.dumps([row[0] for row in rows]).decode()),
        "run_facets": [],
    }


def _ordered(rows: list[tuple[Any, ...]], place: int) -> list[float]:
    return sorted(max(row[place], 0.0) for row in rows if row[place] is not None)
