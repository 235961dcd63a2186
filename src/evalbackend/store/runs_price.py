"""Work out what runs cost that tell tokens and a model, and no cost.

As at the service, a run is priced when it comes in: a later change of the table leaves it alone. What is worked
out is noted in priced_runs, so that a later part of the same run (its update, or its create) is priced anew, and
a cost that it tells wins.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import orjson

from evalbackend.prices import Prices
from evalbackend.store.functions import marks
from evalbackend.usage_rules import plain

_AT_ONCE = 500
_EXTRA = "CAST(extra AS TEXT)"
_MODELS = ", ".join(
    f"json_extract({_EXTRA}, '$.{place}')"
    for place in ("metadata.ls_model_name", "invocation_params.model", "invocation_params.model_name")
)
_UNPRICED = (
    f"SELECT id, prompt_tokens, completion_tokens, usage_details, {_MODELS} FROM runs "  # noqa: S608
    "WHERE COALESCE(prompt_tokens, completion_tokens) IS NOT NULL AND extra IS NOT NULL "
    "AND COALESCE(prompt_cost, completion_cost, total_cost) IS NULL AND id IN "
)
_SET = "UPDATE runs SET prompt_cost = ?, completion_cost = ?, total_cost = ? WHERE id = ?"


def unprice(connection: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Forget the costs of these runs that were worked out."""
    for some in _portions(ids):
        sql = f"SELECT run_id FROM priced_runs WHERE run_id IN ({marks(some)})"  # noqa: S608
        for (run_id,) in connection.execute(sql, some).fetchall():
            connection.execute(_SET, (None, None, None, run_id))
            connection.execute("DELETE FROM priced_runs WHERE run_id = ?", (run_id,))


def price(connection: sqlite3.Connection, ids: Iterable[str], prices: Prices) -> None:
    """Work out the costs of these runs, as far as they tell tokens and a model that has a price."""
    for some in _portions(ids):
        for row in connection.execute(f"{_UNPRICED}({marks(some)})", some).fetchall():
            _price(connection, row, prices)


def _price(connection: sqlite3.Connection, row: tuple[Any, ...], prices: Prices) -> None:
    run_id, prompt, completion, details, *models = row
    known = next((model for model in models if isinstance(model, str) and model), None)
    if (found := prices.of(known)) is None:
        return
    costs = found.costs(prompt or 0, completion or 0, orjson.loads(details) if details else {})
    told = [plain(cost) for cost in (*costs, costs[0] + costs[1])]
    connection.execute(_SET, (*told, run_id))
    connection.execute("INSERT OR IGNORE INTO priced_runs (run_id) VALUES (?)", (run_id,))


def _portions(ids: Iterable[str]) -> Iterable[list[str]]:
    wanted = list(ids)
    return (wanted[at : at + _AT_ONCE] for at in range(0, len(wanted), _AT_ONCE))
