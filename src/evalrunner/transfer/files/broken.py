"""A run that cannot be sent: why, and what is known of it, so that its trace can be named and kept whole."""

from __future__ import annotations

import json
import re
from typing import Any

#: How much of something that is no JSON is looked at for ids.
_LOOKED_AT = 1 << 20
_PAIR = r'"%s"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|(-?\d+)(?=[\s,}\]]))'
_NAMES = {"id": ("id", "run_id"), "trace": ("trace_id",), "parent": ("parent_run_id",)}


class BrokenRun(Exception):
    """A run cannot be sent.

    Attributes:
        reason: why, in one sentence without its end.
        id, trace, parent: its ids as text, as far as they can be told.
    """

    def __init__(self, reason: str, id: str | None, trace: str | None, parent: str | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.id, self.trace, self.parent = id, trace, parent


def known_of(data: bytes, reason: str) -> BrokenRun:
    """Return what is known of a run that is broken, be it JSON or not."""
    look = _from_json(data) or _from_text(data)
    return BrokenRun(reason, look.get("id"), look.get("trace"), look.get("parent"))


def _from_json(data: bytes) -> dict[str, str | None] | None:
    try:
        value = json.loads(data.decode("utf-8", "replace"), strict=False, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return {}
    return {what: _first(value, names) for what, names in _NAMES.items()}


def _first(value: dict[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        if isinstance(value.get(name), str) and value[name]:
            return str(value[name])
    return None


def _from_text(data: bytes) -> dict[str, str | None]:
    """Look for ids in front of whatever is broken; those of something inside are not told apart from its own."""
    text = data[:_LOOKED_AT].decode("utf-8", "replace")
    found: dict[str, str | None] = {}
    for what, names in _NAMES.items():
        matches = [match for name in names if (match := re.search(_PAIR % name, text))]
        found[what] = next((match[1] or match[2] for match in matches), None)
    return found
