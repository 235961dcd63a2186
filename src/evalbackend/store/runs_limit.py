"""The service's limit on the runs of one trace.

25,000; "extra" ones are rejected (docs.langchain.com, observability concepts). How is not documented: here the
request keeps all that fits and is then refused by name, so that nobody takes what was dropped for kept.
"""

from __future__ import annotations

import sqlite3
from collections import Counter

from evalbackend.store.functions import in_traces, marks
from evalbackend.wire.ingest import RunOp

MOST = 25_000
_AT_ONCE = 500  # ids per SELECT


def beyond_limit(connection: sqlite3.Connection, fresh: list[RunOp]) -> list[RunOp]:
    """Return the creates for which their trace has no more room, of operations that are not stored yet."""
    # Roots are never too many, and most traces are small: only those that get children are counted.
    growing = [op for op in fresh if op.kind == "post" and op.values.get("parent_run_id") is not None]
    there = _stored(connection, list({op.trace_id for op in growing if op.trace_id is not None}))
    surplus = []
    for op in growing:
        if op.trace_id is not None:
            there[op.trace_id] += 1
            if there[op.trace_id] > MOST:
                surplus.append(op)
    return surplus


def _stored(connection: sqlite3.Connection, traces: list[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for at in range(0, len(traces), _AT_ONCE):
        some = traces[at : at + _AT_ONCE]
        query = f"SELECT trace_id, COUNT(*) FROM runs WHERE {in_traces(marks(some))} GROUP BY trace_id"  # noqa: S608
        counts.update(dict(connection.execute(query, [*some, *some]).fetchall()))
    return counts
