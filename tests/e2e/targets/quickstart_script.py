"""A script as quickstarts have it: it evaluates at module level."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from langsmith import Client


def target(inputs: dict[str, Any]) -> dict[str, Any]:
    """Write down that it ran."""
    with Path(os.environ["EXECUTIONS"]).open("a") as log:
        log.write(f"{inputs}\n")
    return inputs


Client().evaluate(target, data=os.environ["DATASET"])
