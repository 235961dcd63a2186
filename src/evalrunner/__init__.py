"""Run LangSmith evaluations in many processes, into one experiment, and prove that nothing was lost.

    from evalrunner import run
    receipt = run(target, dataset="orders", evaluators=[exact], workers=8)

The names below are loaded when they are first used: `evalrunner --help` needs none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalrunner.api import download, execute, run, upload
    from evalrunner.config import Endpoint, RunConfig, TargetSpec, WorkerConfig
    from evalrunner.report.receipt import Receipt
    from evalrunner.transfer.download.summary import Downloaded
    from evalrunner.transfer.upload.summary import Uploaded

__version__ = "0.1.0"
__all__ = [
    "Downloaded",
    "Endpoint",
    "Receipt",
    "RunConfig",
    "TargetSpec",
    "Uploaded",
    "WorkerConfig",
    "__version__",
    "download",
    "execute",
    "run",
    "upload",
]

_HOMES = {
    "download": "evalrunner.api",
    "execute": "evalrunner.api",
    "run": "evalrunner.api",
    "upload": "evalrunner.api",
    "Uploaded": "evalrunner.transfer.upload.summary",
    "Downloaded": "evalrunner.transfer.download.summary",
    "Receipt": "evalrunner.report.receipt",
    **dict.fromkeys(("Endpoint", "RunConfig", "TargetSpec", "WorkerConfig"), "evalrunner.config"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'evalrunner' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
