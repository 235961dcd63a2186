"""What is summed up over the runs that a query finds."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from evalbackend.store.stats import feedback_stats_of, percentile
from evalbackend.usage_rules import USAGE, counted, subtree_sum
from evalbackend.wire.run_query import ROOTS, RunQuery

_SELECT = (
    "SELECT id, (julianday(end_time) - julianday(start_time)) * 86400.0, "
    "(julianday(first_token_time) - julianday(start_time)) * 86400.0, status = 'error', start_time, "
)
_OWN = ", ".join(f"CAST({counted('runs', name)} AS REAL)" for name in USAGE)
_WHOLE = ", ".join(f"CAST({subtree_sum(name)} AS REAL)" for name in USAGE)


def runs_stats(connection: sqlite3.Connection, query: RunQuery) -> dict[str, Any]:
    """Return counts, latencies, tokens, costs and feedback of the runs that the query finds.

    Root runs stand for their traces; where children are found too, each run stands for itself.
    """
    usage = _WHOLE if ROOTS in query.where else _OWN
    sql = f"{_SELECT}{usage} FROM runs WHERE {' AND '.join(query.where)}"
    rows = connection.execute(sql, query.args).fetchall()
    took, first = _ordered(rows, 1), _ordered(rows, 2)
    tokens = _ordered(rows, 5 + USAGE.index("total_tokens"))
    sums = {name: sum(row[place] or 0 for row in rows) for place, name in enumerate(USAGE, 5)}
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
