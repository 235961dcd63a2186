"""Tokens and costs of whole subtrees.

LangSmith's documentation says that costs "are rolled up to the trace level and project level"; the older reads
show a run with what it and all its descendants used, the second generation does so where `include_subtree_usage`
is asked for. What is stored is what each run told of itself; what of it counts is said in usage_rules.py.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Any

from evalbackend.store.functions import marks
from evalbackend.usage_rules import COSTS, USAGE, counted, plain, tells

_AT_ONCE = 500
_TOLD = (
    f"SELECT id, dotted_order, first_token_time, {', '.join(counted('runs', name) for name in USAGE)} FROM runs "  # noqa: S608
    f"WHERE post_n > 0 AND {tells('runs')} AND trace_id IN "
)


def show_subtrees(connection: sqlite3.Connection, runs: list[dict[str, Any]], *, first_tokens: bool) -> None:
    """Show each run, as far as it shows them, with the tokens and costs of itself and all its descendants.

    With `first_tokens`, a first_token_time that is shown becomes the earliest of the subtree.
    """
    shown = {run["id"]: run for run in runs}
    for run in runs:
        run.update((name, None) for name in USAGE if name in run)
    traces = list({run["trace_id"] for run in runs if run["trace_id"]})
    for at in range(0, len(traces), _AT_ONCE):
        some = traces[at : at + _AT_ONCE]
        for run_id, order, first, *used in connection.execute(f"{_TOLD}({marks(some)})", some):
            above = [segment[-36:] for segment in (order or "").split(".")[:-1]]
            for one in (run_id, *above):
                if (found := shown.get(one)) is not None:
                    _add(found, used)
                    if first_tokens and first and "first_token_time" in found:
                        found["first_token_time"] = min(found["first_token_time"] or first, first)


def _add(run: dict[str, Any], used: list[Any]) -> None:
    for name, more in zip(USAGE, used, strict=True):
        if more is None or name not in run:
            continue
        before = run[name]
        if before is None:
            run[name] = more
        else:
            run[name] = plain(Decimal(before) + Decimal(more)) if name in COSTS else before + more
