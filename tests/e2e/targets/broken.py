"""What cannot be used as a target."""

from __future__ import annotations

from typing import Any

NUMBER = 7


class Model:
    """Cannot be set up."""

    def setup(self) -> None:
        """Fail."""
        raise FileNotFoundError("no weights in /models")

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return inputs
