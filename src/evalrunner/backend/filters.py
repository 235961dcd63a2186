"""The filter language, as other modules name it."""

from __future__ import annotations

from evalrunner.backend.filtering.grammar import Grammar
from evalrunner.backend.filtering.syntax import parse

__all__ = ["Grammar", "parse"]
