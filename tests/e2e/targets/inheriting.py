"""A target that tells what its process has from the one that started the run."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from typing import Any


def target(_: dict[str, Any]) -> dict[str, Any]:
    """Tell it."""
    mask = os.umask(0o77)
    os.umask(mask)
    return {
        "model": os.environ.get("MODEL"),
        "gone": os.environ.get("GONE"),
        "zone": time.tzname[0],
        "temporary": tempfile.gettempdir(),
        "umask": mask,
        "stack": resource.getrlimit(resource.RLIMIT_STACK)[0],
        "cpus": sorted(os.sched_getaffinity(0)),
    }
