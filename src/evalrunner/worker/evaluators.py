"""Evaluators as the worker calls them, and the one that comes last.

`aevaluate` runs an example's evaluators one after the other (evaluation/_arunner.py:1060). The last of
ours is `EndOfItem`: when its turn comes, every score has been recorded, and the item has ended.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator
from langsmith.evaluation.evaluator import DynamicRunEvaluator
from langsmith.schemas import Example, Run

from evalrunner.delivery.traces import CURRENT
from evalrunner.errors import TargetError
from evalrunner.worker.target import contained, contained_await

Results = EvaluationResult | EvaluationResults


def resolve(evaluator: Any) -> RunEvaluator:
    """Turn whatever the SDK takes as an evaluator into its `RunEvaluator`.

    Raises:
        TargetError: the SDK would not take it.
    """
    if isinstance(evaluator, RunEvaluator):
        return evaluator
    if hasattr(evaluator, "as_run_evaluator"):
        made: RunEvaluator = evaluator.as_run_evaluator()
        return made
    if not callable(evaluator):
        raise TargetError(f"an evaluator is of type {type(evaluator).__name__}, which cannot be called")
    try:
        return DynamicRunEvaluator(evaluator)
    except (ValueError, TypeError) as error:
        raise TargetError(f"evaluator {name_of(evaluator)!r} cannot be used: {error}") from error


def name_of(evaluator: Any) -> str:
    """Return what an evaluator is called."""
    return str(
        getattr(evaluator, "__name__", None) or getattr(evaluator, "_name", None) or type(evaluator).__name__
    )


class TrackedEvaluator(RunEvaluator):
    """One of the user's evaluators, with its scores named after it and nothing able to escape."""

    def __init__(self, evaluator: Any, pool: ThreadPoolExecutor) -> None:
        self._inner = resolve(evaluator)
        self._pool = pool
        self.name = name_of(evaluator)
        self._async = _is_async(self._inner)
        #: Whether it asks for the example's attachments (a `RunEvaluator` finds them on the example).
        self.takes_attachments = "attachments" in _parameters(evaluator)

    @property
    def feedback_keys(self) -> list[str]:
        """The keys under which the SDK files an error of this evaluator: never none."""
        return list(self._inner.feedback_keys) or [self.name]

    @property
    def known_keys(self) -> list[str]:
        """The keys that the SDK can tell without running it; maybe none."""
        return list(self._inner.feedback_keys)

    def evaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: UUID | None = None
    ) -> Results:
        """Refuse: lanes are asynchronous."""
        raise TypeError("a worker's evaluators are only ever awaited")

    async def aevaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: UUID | None = None
    ) -> Results:
        """Run it; a sync evaluator runs in a thread, in a copy of this context."""
        item = CURRENT.get()
        if item is not None:
            item.evaluator = self.name
        _rewind(example)
        if self._async:
            answer: Results = await contained_await(self._inner.aevaluate_run(run, example, evaluator_run_id))
            return answer
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        call = contained(self._inner.evaluate_run)
        return await loop.run_in_executor(self._pool, context.run, call, run, example, evaluator_run_id)


def _parameters(evaluator: Any) -> list[str]:
    try:
        return list(inspect.signature(evaluator).parameters)
    except (TypeError, ValueError):
        return []


def _is_async(evaluator: RunEvaluator) -> bool:
    if isinstance(evaluator, DynamicRunEvaluator):
        return evaluator.is_async
    return type(evaluator).aevaluate_run is not RunEvaluator.aevaluate_run


def _rewind(example: Example | None) -> None:
    # The target and the evaluators before this one have read the attachments to their end.
    for attachment in ((example.attachments if example else None) or {}).values():
        reader = attachment.get("reader")
        if isinstance(reader, io.IOBase) and reader.seekable():
            reader.seek(0)


class EndOfItem(RunEvaluator):
    """The last evaluator of a lane: gives no score, and says that the lane's item has ended."""

    def __init__(self, ended: Callable[[Any], Any]) -> None:
        self._ended = ended

    def evaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: UUID | None = None
    ) -> Results:
        """Refuse: lanes are asynchronous."""
        raise TypeError("a worker's evaluators are only ever awaited")

    async def aevaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: UUID | None = None
    ) -> Results:
        """End the lane's item."""
        await self._ended(run)
        return EvaluationResults(results=[])
