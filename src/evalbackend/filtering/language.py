"""The filter language, as other modules name it."""

from __future__ import annotations

from evalbackend.filtering.grammar import Grammar
from evalbackend.filtering.syntax import parse

__all__ = ["Grammar", "parse"]
