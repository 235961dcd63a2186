"""What the readers of dataset files have in common."""

from __future__ import annotations

from typing import Any


class BadRow(Exception):
    """A row cannot be used; says why."""


#: Where a row is ("line 7", "item 7"), and the row or why there is none.
Placed = tuple[str, Any]
