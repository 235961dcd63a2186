"""Evaluators as the worker calls them: one after the other, as `aevaluate` does (evaluation/_arunner.py:1060)."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import io
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any, cast
from uuid import UUID

from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator
from langsmith.evaluation.evaluator import DynamicRunEvaluator
from langsmith.schemas import Example, Run

from evalrunner.config import unique
from evalrunner.delivery.capture.items import CURRENT, ItemTrace, ScoreTask
from evalrunner.errors import TargetError
from evalrunner.protocol.evaluated import LONGEST, Evaluated, object_name, sayable
from evalrunner.worker.code.answers import run_in
from evalrunner.worker.code.containing import call_contained, contained_await
from evalrunner.worker.code.scores import checked

#: How often a worker's log shows the traceback of one error, and of how many different ones of an evaluator.
SHOWN, DISTINCT = 3, 200
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
        raise TargetError(f"evaluator {object_name(evaluator)!r} cannot be used: {error}") from error


def names_of(given: Sequence[str], evaluators: Sequence[Any]) -> Sequence[str]:
    """Return the evaluators' names: those that the supervisor knows them by, else what they call themselves."""
    return given if len(given) == len(evaluators) else unique(map(object_name, evaluators))


class EvaluatorError(Exception):
    """Stands for what an evaluator raised where that cannot show itself."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self._said = said

    def __repr__(self) -> str:
        return self._said


def said(error: BaseException) -> str:
    """Return an error as `repr` shows it, which is what the SDK records (evaluation/_arunner.py:1014)."""
    try:
        return sayable(repr(error))
    except Exception as unprintable:
        return f"{type(error).__name__}(it cannot be printed: {type(unprintable).__name__})"


class TrackedEvaluator(RunEvaluator):
    """One of the user's evaluators, with its scores named after it and nothing able to escape."""

    def __init__(self, evaluator: Any, pool: ThreadPoolExecutor, name: str) -> None:
        self._inner = resolve(evaluator)
        self._pool = pool
        self.name = name
        self._told: Counter[str] = Counter()
        self._async = _is_async(self._inner)
        #: Whether it asks for the example's attachments (a `RunEvaluator` finds them on the example).
        self.takes_attachments = "attachments" in _parameters(evaluator)

    @property
    def feedback_keys(self) -> list[str]:
        """The keys under which the SDK files an error of this evaluator: never none."""
        return self.known_keys or [self.name]

    @property
    def known_keys(self) -> list[str]:
        """The keys that the SDK can tell without running it; maybe none, and maybe not those that it gives.

        It reads them off the source, where `{"key": 3}` may stand, or asks a class of the user's own.
        """
        return list(dict.fromkeys(key for key in _guessed(self._inner) if _is_key(key)))

    def evaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: UUID | None = None
    ) -> Results:
        """Refuse: lanes are asynchronous."""
        raise TypeError("a worker's evaluators are only ever awaited")

    async def aevaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: UUID | None = None
    ) -> Results:
        """Run it, and note what became of it.

        Raises:
            Exception: what it raised, or why its scores cannot be recorded; the SDK records it in their place.
        """
        item = CURRENT.get()
        task = item.task if item is not None else None
        if item is not None:
            item.evaluator = self.name
        if item is not None and task is not None and self._is_done(item, task):
            return EvaluationResults(results=[])
        _rewind(example)
        try:
            _refuse(task)
            answer = await self._evaluate(run, example, evaluator_run_id)
            results = call_contained(checked, answer)  # what it gave is the user's too, and is read here
        except Exception as error:
            self._failed(item, run, error, evaluator_run_id)
            raise
        own = (None, run.id, str(run.id))
        keys = tuple(result.key for result in results if result.target_run_id in own)
        if item is not None:
            item.evaluated.append(Evaluated(self.name, keys))
        standing = task.standing if task is not None else ()
        kept = [one for one in results if one.key not in standing or one.target_run_id not in own]
        return EvaluationResults(results=kept)

    def _is_done(self, item: ItemTrace, task: ScoreTask) -> bool:
        """Whether a run that is only scored does not need this evaluator."""
        if self.name not in task.evaluators:
            return True
        if not self.known_keys or not task.standing.issuperset(self.known_keys):
            return False
        # Another tool has scored the run under every key that this one gives, as far as its source says.
        item.evaluated.append(Evaluated(self.name, tuple(self.known_keys)))
        return True

    def _failed(self, item: ItemTrace | None, run: Run, error: Exception, own_run: UUID | None) -> None:
        text = said(error)
        if item is not None:
            item.evaluated.append(Evaluated(self.name, error=text[:LONGEST]))
            traced = item.runs.get(own_run) if own_run is not None else None
            if traced is not None and not traced.ended:  # the SDK could not print the error
                traced.fail(text, datetime.now(timezone.utc))
        self._log(run, error, text)
        if not _shows(error, text):
            raise EvaluatorError(text) from error

    def _log(self, run: Run, error: Exception, text: str) -> None:
        # Not through `logging`: what a target configures there may have switched our logger off.
        print(f"evaluator {self.name} failed on run {run.id}: {text}", file=sys.stderr)
        self._told[text] += 1
        if self._told[text] <= SHOWN and len(self._told) <= DISTINCT:
            traceback.print_exception(error, file=sys.stderr)

    async def _evaluate(self, run: Run, example: Example | None, evaluator_run_id: UUID | None) -> Results:
        """Call it; a sync evaluator runs in a thread, in a copy of this context."""
        if self._async:
            call = self._inner.aevaluate_run(run, example, evaluator_run_id)
            return cast("Results", await contained_await(run_in(contextvars.copy_context(), call)))
        context = contextvars.copy_context()
        work = (self._inner.evaluate_run, run, example, evaluator_run_id)
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, context.run, call_contained, *work
        )


def _refuse(task: ScoreTask | None) -> None:
    if task is not None and task.trouble:
        raise EvaluatorError(task.trouble)


def _shows(error: Exception, text: str) -> bool:
    try:
        return repr(error) == text
    except Exception:
        return False


def _guessed(evaluator: RunEvaluator) -> list[Any]:
    try:
        keys: Any = evaluator.feedback_keys
        return [keys] if isinstance(keys, str) else list(keys)
    except Exception:  # only a guess: what it gives when it runs is what counts
        return []


def _is_key(key: Any) -> bool:
    return isinstance(key, str) and key != "" and key == sayable(key)


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
