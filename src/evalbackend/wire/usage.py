"""Tokens and costs of a run, as far as it tells them (`usage_metadata`), and the time of its first token."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.usage_rules import plain
from evalbackend.wire.values import time_text

_TOKENS = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "total_tokens": "total_tokens",
}
_COSTS = {"prompt_cost": "input_cost", "completion_cost": "output_cost", "total_cost": "total_cost"}
_DIGITS = 30  # a cost beyond 10**30 or below 10**-30 is none
_PARTS = ("prompt_cost", "completion_cost")
_DETAILS = {
    "prompt_token_details": "input_token_details",
    "completion_token_details": "output_token_details",
    "prompt_cost_details": "input_cost_details",
    "completion_cost_details": "output_cost_details",
}


def usage_columns(outputs: Any, extra: Any, events: Any) -> dict[str, Any]:
    """Return the columns that follow from what a run said; what cannot be read as a number is left out."""
    columns = _first_token(events) if events else {}
    usage = _usage(outputs, extra)
    if not usage:
        return columns
    for column, key in _TOKENS.items():
        if isinstance(count := usage.get(key), int) and 0 <= count < 2**40:
            columns[column] = count
    if "total_tokens" not in columns and "prompt_tokens" in columns and "completion_tokens" in columns:
        columns["total_tokens"] = columns["prompt_tokens"] + columns["completion_tokens"]
    for column, key in _COSTS.items():
        if (cost := _cost(usage.get(key))) is not None:
            columns[column] = cost
    if "total_cost" not in columns and (parts := [columns[one] for one in _PARTS if one in columns]):
        columns["total_cost"] = plain(sum(map(Decimal, parts), Decimal(0)))
    details = {name: usage[key] for name, key in _DETAILS.items() if isinstance(usage.get(key), dict)}
    if details:
        columns["usage_details"] = orjson.dumps(details)
    return columns


def _usage(outputs: Any, extra: Any) -> dict[str, Any]:
    if outputs:
        told = outputs.get("usage_metadata")
        if isinstance(told, dict):
            return told
    metadata = extra.get("metadata") if extra else None
    told = metadata.get("usage_metadata") if isinstance(metadata, dict) else None
    return told if isinstance(told, dict) else {}


def _cost(value: Any) -> str | None:
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    try:
        cost = Decimal(str(value))
    except InvalidOperation:
        return None
    return format(cost, "f") if cost.is_finite() and abs(cost.adjusted()) < _DIGITS else None


def _first_token(events: list[Any]) -> dict[str, Any]:
    for event in events:
        if isinstance(event, dict) and event.get("name") == "new_token" and event.get("time"):
            try:
                return {"first_token_time": time_text(event["time"], "time")}
            except HttpError:
                return {}
    return {}
