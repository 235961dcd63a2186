"""Looking at target and evaluators for `--plan`: they are imported and found, and nothing of them is called."""

from __future__ import annotations

import inspect
import os
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evalrunner.errors import EvalrunnerError
from evalrunner.protocol.reports import Ready
from evalrunner.protocol.worker import WorkerOrder
from evalrunner.worker.code.evaluators import TrackedEvaluator, names_of
from evalrunner.worker.code.home import Home
from evalrunner.worker.code.loading import Objects
from evalrunner.worker.code.target import ASYNC_CONCURRENCY, SYNC_CONCURRENCY, Target, looks_async

#: What has no line of the user's in it.
_OURS = str(Path(__file__).resolve().parents[2])


def checked(order: WorkerOrder, named: Objects, home: Home) -> Ready:
    """Return what a worker would say when it is ready; concurrency 0 where only building the target tells it.

    Raises:
        TargetError: the target cannot be called, or the SDK would not take it or an evaluator.
    """
    names = names_of(order.spec.evaluator_names, named.evaluators)
    with ThreadPoolExecutor(1) as pool:
        judges = [
            TrackedEvaluator(evaluator, pool, name)
            for name, evaluator in zip(names, named.evaluators, strict=True)
        ]
    at_once = order.config.max_concurrency or _at_once(order, named, home)
    return Ready(os.getpid(), at_once, {one.name: one.known_keys for one in judges})


def _at_once(order: WorkerOrder, named: Objects, home: Home) -> int:
    if order.spec.factory:
        return 0
    if not inspect.isclass(named.target):
        Target(named.target, home)  # refuses what the SDK would not take
    return ASYNC_CONCURRENCY if looks_async(named.target) else SYNC_CONCURRENCY


def why_not(error: BaseException, folder: Path) -> str:
    """Say what was raised while the user's modules were imported, and in which line: there is no log to look into."""
    if isinstance(error, EvalrunnerError):
        return str(error)
    first = str(error).splitlines()[0] if str(error) else ""
    return f"target or evaluators cannot be loaded: {type(error).__name__}: {first}{_place(error, folder)}"


def _place(error: BaseException, folder: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return ""  # its own words have file and line
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<", _OURS))
    ]
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)] or frames
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
