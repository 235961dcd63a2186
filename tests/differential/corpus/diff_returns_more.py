"""Further kinds of values that a target may return: one target for all that the modules named here define."""

from __future__ import annotations

from typing import Any

import diff_returns_messages  # type: ignore[import-not-found]
import diff_returns_models  # type: ignore[import-not-found]
import diff_returns_objects  # type: ignore[import-not-found]
import diff_returns_values  # type: ignore[import-not-found]

JSON = dict[str, Any]
PARTS = (diff_returns_messages, diff_returns_models, diff_returns_objects, diff_returns_values)


def every(inputs: JSON) -> Any:
    return _found(inputs["case"])(inputs)


async def every_async(inputs: JSON) -> Any:
    return await _found(inputs["case"])(inputs)


def _found(name: str) -> Any:
    (found,) = (vars(part)[name] for part in PARTS if name in vars(part))
    return found
