"""Waits until it may go on."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from noting import note  # type: ignore[import-not-found]  # beside this file, as a user's modules are


def target(inputs: dict[str, Any]) -> dict[str, Any]:
    """Wait for the file that GATE names."""
    note(inputs["i"])
    while not Path(os.environ["GATE"]).exists():
        time.sleep(0.01)
    return {"sum": inputs["i"] + 1}
