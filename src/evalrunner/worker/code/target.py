"""A target as the worker calls it: whatever the user gave, seen as one coroutine that makes one root run.

What is recorded of it is the SDK's own doing (`RootRun`, or the target's own `@traceable`), so that it is what
plain `evaluate` and `aevaluate` record; tests/differential compares them field by field.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any

from langsmith.run_helpers import is_traceable_function
from langsmith.run_trees import RunTree

from evalrunner.delivery.capture.root import RootRun
from evalrunner.delivery.capture.sdk import check_signature, is_runnable
from evalrunner.errors import TargetError
from evalrunner.worker.code.answers import consume, is_generator, is_pending, is_stream, run_in, settle
from evalrunner.worker.code.containing import call_contained, end_copy, ordinary, users_part
from evalrunner.worker.code.home import Home

#: Items at once where the user does not say: a sync target may not be thread-safe, an async one waits.
SYNC_CONCURRENCY, ASYNC_CONCURRENCY = 1, 8


class Target:
    """One loaded target.

    Args:
        home: where a sync target is called, one call at a time.

    Attributes:
        name: what its root runs are called.
        is_async: it is called on the event loop; otherwise at home, or in a pool if several at once are wanted.
    """

    def __init__(self, target: Any, home: Home) -> None:
        self._runnable = _is_invoked(target)
        if not self._runnable and not callable(target):
            raise TargetError(f"the target is of type {type(target).__name__}, which cannot be called")
        self._home = home
        self._pool: ThreadPoolExecutor | None = None
        self._call: Callable[..., Any] = target.ainvoke if self._runnable else target
        self._traceable = not self._runnable and is_traceable_function(target)
        self.is_async = looks_async(target)
        self.name = _name_of(target)
        self.signature = inspect.signature(_just_inputs if self._runnable else target)
        check_signature(_just_inputs if self._runnable else target)
        self._wants_run = "run_tree" in inspect.signature(self._call).parameters
        self._inputs_at = self._find_inputs()

    def open_pool(self, threads: int) -> None:
        """Say how many calls there are at once: if it is one, a sync target is always called at home."""
        if not self.is_async and threads > 1:
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="target")

    @property
    def takes_attachments(self) -> bool:
        """Whether it asks for the example's attachments."""
        return "attachments" in self.signature.parameters

    async def __call__(self, args: tuple[Any, ...], extra: dict[str, Any]) -> None:
        """Execute it once and make its root run; `extra` is the SDK's `langsmith_extra`, run id included.

        Raises:
            Exception: what the target raised, or an `Aborted` with its text; it stands in the run already,
                except where the SDK could not write it down: then `on_end` has not been called.
        """
        pid = os.getpid()
        try:
            await (self._traced(args, extra) if self._traceable else self._untraced(args, extra))
        except BaseException as error:
            end_copy(pid, error)
            raise ordinary(error)  # noqa: B904 - its cause is set, or it is the error itself
        end_copy(pid)

    async def _off_loop(self, function: Callable[..., Any], *args: Any) -> Any:
        run = contextvars.copy_context().run
        if self._pool is None:
            return await self._home.call(run, call_contained, function, *args)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, run, call_contained, function, *args)

    def _find_inputs(self) -> int | None:
        """Return which argument is recorded, if it is one; None where the SDK must look at all of them."""
        names = list(self.signature.parameters)
        annotated = [str(one.annotation) for one in self.signature.parameters.values()]
        if self._runnable or "inputs" not in names or any("Attachment" in text for text in annotated):
            return None
        return names.index("inputs")

    def _open(self, args: tuple[Any, ...], extra: dict[str, Any]) -> RootRun:
        if self._inputs_at is None:
            return RootRun.begin(self._call, self.name, args, extra)
        return RootRun.begin_with(args[self._inputs_at], self.name, extra)

    # -- a target that leaves the root run to us -----------------------------------------------------------

    async def _untraced(self, args: tuple[Any, ...], extra: dict[str, Any]) -> None:
        if self.is_async:
            root = self._open(args, extra)
            await self._finish(root, functools.partial(self._start, root, args))
        elif (pending := await self._off_loop(self._begin, args, extra)) is not None:
            root, answer = pending
            await self._finish(root, lambda: answer)

    def _start(self, root: RootRun, args: tuple[Any, ...]) -> Any:
        more = {"run_tree": root.tree} if self._wants_run else {}
        return root.context.run(self._call, *args, **more)

    def _begin(self, args: tuple[Any, ...], extra: dict[str, Any]) -> tuple[RootRun, Any] | None:
        """Call it off the loop and end its run, unless the rest must be awaited: that is returned."""
        root = self._open(args, extra)
        items: list[Any] = []
        with _Ending(root, items):
            answer = self._start(root, args)
            if is_generator(answer):
                answer = root.context.run(consume, answer, items)
        if is_pending(answer):
            return root, answer
        root.end(answer)
        return None

    async def _finish(self, root: RootRun, start: Callable[[], Any]) -> None:
        """Bring what `start` gives to its end, on the event loop; end the run with it."""
        items: list[Any] = []
        with _Ending(root, items):
            answer = start()
            answer = await run_in(
                root.context, answer if inspect.isawaitable(answer) else settle(answer, items)
            )
            if is_pending(answer):
                answer = await run_in(root.context, settle(answer, items))
        root.end(answer)

    # -- a target that makes its root run itself -----------------------------------------------------------

    async def _traced(self, args: tuple[Any, ...], extra: dict[str, Any]) -> None:
        ended: list[RunTree] = []
        on_end: Callable[[RunTree], None] = extra["on_end"]

        def note(tree: RunTree) -> None:
            ended.append(tree)
            on_end(tree)

        call = functools.partial(self._call, *args, langsmith_extra={**extra, "on_end": note})
        if self.is_async:
            answer = await run_in(contextvars.copy_context(), _call(call))
        else:
            answer = await self._off_loop(_call_through, call, ended)
        while not ended and inspect.isawaitable(answer):
            # A decorator is as `@traceable` in the SDK's eyes as what it wraps (functools.wraps), and looks sync.
            answer = await run_in(contextvars.copy_context(), answer)
        if not ended and is_stream(answer):
            await run_in(contextvars.copy_context(), _stream(answer, ended, on_end))
        elif ended and is_pending(answer):
            await self._finish(RootRun.again(ended[-1], on_end, self._call), lambda: answer)


class _Ending:
    """Ends a run with what is raised in its block, and lets that pass; a copy of this process ends here."""

    def __init__(self, root: RootRun, items: list[Any]) -> None:
        self._root, self._items, self._pid = root, items, os.getpid()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        end_copy(self._pid, error)  # before the run: it is its parent's
        if error is not None:
            error.__traceback__ = users_part(trace)
            with suppress(BaseException):  # it cannot be printed: the lane ends the run with what can be said
                self._root.end(self._items or None, error)


async def _call(call: Callable[[], Any]) -> Any:
    answer = call()
    return await answer if inspect.isawaitable(answer) else answer


def _call_through(call: Callable[[], Any], ended: list[RunTree]) -> Any:
    """Call a sync traceable; consume its stream in the same thread, and return nothing then."""
    answer = call()
    if ended or not is_stream(answer) or not hasattr(answer, "__iter__"):
        return answer
    for _ in answer:
        pass
    return None


async def _stream(answer: Any, ended: list[RunTree], on_end: Callable[[RunTree], None]) -> None:
    """Consume a traced stream, so that its run ends; see to it that an error in it is recorded.

    The SDK's async stream ends its run without the error (run_helpers.py:2270).
    """
    try:
        if hasattr(answer, "__aiter__"):
            async for _ in answer:
                pass
        else:
            for _ in answer:
                pass
    except BaseException as error:
        if ended and ended[-1].error is None and hasattr(answer, "__ls_stream__"):
            outputs = ended[-1].outputs
            with suppress(BaseException):
                RootRun.again(ended[-1], on_end).end(outputs, error)
        raise


def looks_async(target: Any) -> bool:
    """Tell whether a target (or, of a class, what it makes) is to be called on the event loop."""
    while isinstance(target, functools.partial):
        target = target.func
    if inspect.isclass(target):
        return _is_invoked_class(target) or _is_coroutine(getattr(target, "__call__", None))  # noqa: B004
    call = getattr(type(target), "__call__", None)  # noqa: B004 - is it a coroutine function, not: is it there
    return _is_invoked(target) or _is_coroutine(target) or _is_coroutine(call)


def _is_coroutine(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _is_invoked(target: Any) -> bool:
    return is_runnable(target) or (not callable(target) and _is_invoked_class(type(target)))


def _is_invoked_class(kind: type) -> bool:
    return hasattr(kind, "ainvoke") and hasattr(kind, "invoke")


def _name_of(target: Any) -> str:
    while isinstance(target, functools.partial):
        target = target.func
    name = getattr(target, "__name__", None) or getattr(target, "name", None) or type(target).__name__
    return str(name)


def _just_inputs(inputs: dict[str, Any]) -> None:
    """Stand for a LangChain runnable, which takes one argument."""
