"""An evaluator that looks at the state of the target's module."""

from __future__ import annotations

from typing import Any

import pools  # type: ignore[import-not-found]  # of this folder, as a user writes it


def same_module(inputs: dict[str, Any]) -> bool:
    """Tell whether the target ran in this very module."""
    return inputs["i"] in pools.seen
