"""What the SDK makes of a target by itself: plain `evaluate` and `aevaluate`, in this process.

Where they do not take a target, or do not survive it, a *shim* stands between: marked as traceable, so that the
SDK leaves the root run to the target's own `@traceable`, and doing nothing but the one thing that is said of it.
Everything that is recorded is then still the SDK's own doing.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import inspect
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langsmith import Client, aevaluate, evaluate, traceable
from langsmith.run_helpers import is_traceable_function

CORPUS = Path(__file__).resolve().parent / "corpus"
if str(CORPUS) not in sys.path:
    sys.path.insert(0, str(CORPUS))  # the modules of the corpus import each other, as a user's do


def load(name: str) -> Any:
    """Return what `module.py:name` names."""
    module, _, attribute = name.partition(".py:")
    return getattr(importlib.import_module(module), attribute)


def by_evaluate(target: Any, evaluators: Sequence[Any], data: str, client: Client, metadata: Any) -> str:
    """Run plain `evaluate`; return the experiment's name."""
    results = evaluate(
        target, data=data, evaluators=list(evaluators), client=client, max_concurrency=0, metadata=metadata
    )
    return str(results.experiment_name)


def by_aevaluate(target: Any, evaluators: Sequence[Any], data: str, client: Client, metadata: Any) -> str:
    """Run plain `aevaluate`; return the experiment's name, once its scores have been posted."""
    before = set(threading.enumerate())

    async def run() -> str:
        found = await aevaluate(
            target,
            data=data,
            evaluators=list(evaluators),
            client=client,
            max_concurrency=0,
            metadata=metadata,
        )
        return str(found.experiment_name)

    name = asyncio.run(run())
    _posted(before)
    return name


def _posted(before: set[threading.Thread]) -> None:
    """Wait for the executor that posts the scores.

    `aevaluate` returns before they are posted, and waits for it nowhere (_arunner.py:794). Nobody holds the
    executor now, and its threads end when they have done what they were given.
    """
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join(60)
            assert not thread.is_alive(), f"{thread.name} goes on"


def _traced(target: Any) -> Any:
    """Trace a function as `evaluate` and `aevaluate` do (_runner.py:2049, _arunner.py:1272)."""
    if is_traceable_function(target):
        return target
    return traceable(name="Target", process_inputs=lambda inputs: inputs.get("inputs", inputs))(target)


def awaited(target: Any) -> Any:
    """Return the async function that the target only does not look like."""

    @functools.wraps(target)
    async def call(*args: Any, **kwargs: Any) -> Any:
        answer = target(*args, **kwargs)
        while inspect.isawaitable(answer):
            answer = await answer
        return answer

    return call


def consumed(target: Any) -> Any:
    """Let the SDK's own traceable generator run to its end."""
    traced = _traced(target)

    @functools.wraps(target)
    def call(*args: Any, **kwargs: Any) -> Any:
        for _ in traced(*args, **kwargs):
            pass

    call.__langsmith_traceable__ = True  # type: ignore[attr-defined]
    return call


def async_consumed(target: Any) -> Any:
    """The same for an async generator."""
    traced = _traced(target)

    async def call(*args: Any, langsmith_extra: Any = None) -> Any:
        stream = traced(*args, langsmith_extra=langsmith_extra)
        if inspect.isawaitable(stream):
            stream = await stream
        async for _ in stream:
            pass

    call.__signature__ = inspect.signature(target)  # type: ignore[attr-defined]
    call.__langsmith_traceable__ = True  # type: ignore[attr-defined]
    return call


def surviving(target: Any) -> Any:
    """Keep what plain `evaluate` would not survive away from it, once the SDK has recorded it."""
    traced = _traced(target)

    @functools.wraps(target)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return traced(*args, **kwargs)
        except BaseException:
            return None

    call.__langsmith_traceable__ = True  # type: ignore[attr-defined]
    return call
