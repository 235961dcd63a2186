"""Evaluators that kill their process, or wait to be killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from deadly import CULPRIT, note  # type: ignore[import-not-found]  # beside this file


def judge(inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """Kill the process at the culprit, or wait for the file that GATE names; the first five go through."""
    note(inputs["i"], "judge")
    if os.environ.get("JUDGE") == "kills" and inputs["i"] == CULPRIT:
        os.kill(os.getpid(), signal.SIGKILL)
    while inputs["i"] >= 5 and not Path(os.environ["GATE"]).exists():
        time.sleep(0.005)
    return {"key": "quality", "score": outputs["i"]}
