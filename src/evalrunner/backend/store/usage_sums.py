"""Tokens and costs of whole subtrees.

LangSmith's documentation says that costs "are rolled up to the trace level and project level"; the older reads
show a run with what it and all its descendants used, the second generation does so where `include_subtree_usage`
is asked for. What is stored is what each run told of itself, so that sums over runs count nothing twice.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Any

from evalrunner.backend.store.functions import marks

_COUNTS = ("total_tokens", "prompt_tokens", "completion_tokens")
_COSTS = ("total_cost", "prompt_cost", "completion_cost")
USAGE = (*_COUNTS, *_COSTS)
_AT_ONCE = 500


def add_descendants(
    connection: sqlite3.Connection, runs: list[dict[str, Any]], *, first_tokens: bool
) -> None:
    """Add to each run, as far as it shows them, the tokens and costs of all its descendants.

    With `first_tokens`, a first_token_time that is shown becomes the earliest of the subtree.
    """
    shown = {run["id"]: run for run in runs}
    traces = list({run["trace_id"] for run in runs if run["trace_id"]})
    for at in range(0, len(traces), _AT_ONCE):
        for order, first, *used in _told(connection, traces[at : at + _AT_ONCE]):
            for segment in (order or "").split(".")[:-1]:
                if (run := shown.get(segment[-36:])) is not None:
                    _add(run, used)
                    if first_tokens and first and "first_token_time" in run:
                        run["first_token_time"] = min(run["first_token_time"] or first, first)


def _told(connection: sqlite3.Connection, traces: list[str]) -> sqlite3.Cursor:
    # The condition is that of the index, word for word: SQLite would not use it otherwise.
    sql = (
        f"SELECT dotted_order, first_token_time, {', '.join(USAGE)} FROM runs WHERE trace_id IN ({marks(traces)}) "  # noqa: S608
        "AND COALESCE(total_tokens, prompt_tokens, completion_tokens, total_cost, prompt_cost, completion_cost, "
        "first_token_time) IS NOT NULL AND post_n > 0 AND parent_run_id IS NOT NULL"
    )
    return connection.execute(sql, traces)


def _add(run: dict[str, Any], used: list[Any]) -> None:
    for name, more in zip(USAGE, used, strict=True):
        if more is None or name not in run:
            continue
        before = run[name]
        if before is None:
            run[name] = more
        else:
            run[name] = str(Decimal(before) + Decimal(more)) if name in _COSTS else before + more
