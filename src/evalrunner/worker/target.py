"""A target as the worker calls it: whatever the user gave, seen as one coroutine that makes one root run.

Set-up happens once per process: a class is instantiated, a factory is called, context managers are
entered, `setup()` is called; tear-down in the opposite order when the worker drains.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

from langsmith import trace
from langsmith.run_helpers import is_traceable_function

from evalrunner.delivery.sdk import check_signature
from evalrunner.errors import TargetError

#: Items at once where the user does not say: a sync target may not be thread-safe, an async one waits.
SYNC_CONCURRENCY, ASYNC_CONCURRENCY = 1, 8


class TargetAborted(RuntimeError):
    """The target or an evaluator tried to end the process or the task (SystemExit, CancelledError, ...).

    It is recorded as the item's error, and the worker goes on with the next item.
    """


def contained(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a sync function so that nothing it raises can end the worker or hang a future."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopIteration) as error:
            raise TargetAborted(f"{type(error).__name__}: {error}") from error

    return call


async def contained_await(awaitable: Any) -> Any:
    """Await something of the user's so that nothing it raises can end the worker."""
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError) as error:
        raise TargetAborted(f"{type(error).__name__}: {error}") from error


class Target:
    """One loaded target.

    Attributes:
        name: what its root runs are called.
        is_async: it awaits; otherwise it runs in a thread of its own pool, off the event loop.
    """

    def __init__(self, target: Any) -> None:
        self._runnable = hasattr(target, "ainvoke") and hasattr(target, "invoke")
        if not self._runnable and not callable(target):
            raise TargetError(f"the target is of type {type(target).__name__}, which cannot be called")
        self._call: Callable[..., Any] = target.ainvoke if self._runnable else target
        self._traceable = not self._runnable and is_traceable_function(target)
        self.is_async = self._runnable or _is_coroutine_function(target)
        self.name = (
            getattr(target, "__name__", None) or getattr(target, "name", None) or type(target).__name__
        )
        self.signature = inspect.signature(_just_inputs if self._runnable else target)
        check_signature(_just_inputs if self._runnable else target)
        names = list(self.signature.parameters)
        self._inputs_at = names.index("inputs") if "inputs" in names else 0
        self._pool: ThreadPoolExecutor | None = None

    def open_pool(self, threads: int) -> None:
        """Give a sync target its threads; one thread means that it is always called in the same one."""
        if not self.is_async:
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="target")

    @property
    def takes_attachments(self) -> bool:
        """Whether it asks for the example's attachments."""
        return "attachments" in self.signature.parameters

    async def __call__(self, args: tuple[Any, ...], extra: dict[str, Any]) -> None:
        """Execute it once and make its root run; `extra` is the SDK's `langsmith_extra`, run id included.

        Raises:
            Exception: what the target raised; it stands in the run already.
        """
        if self._traceable:
            await self._invoke(functools.partial(self._call, langsmith_extra=extra), args)
            return
        ended: Callable[[Any], None] = extra["on_end"]
        with trace(
            self.name,
            "chain",
            inputs=args[self._inputs_at],
            run_id=extra["run_id"],
            reference_example_id=extra.get("reference_example_id"),
            project_name=extra["project_name"],
            metadata=extra["metadata"],
            client=extra["client"],
            parent="ignore",
        ) as run:
            try:
                outputs = await self._invoke(self._call, args)
                run.end(outputs=outputs if isinstance(outputs, dict) else {"output": outputs})
            finally:
                ended(run)

    async def _invoke(self, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if self.is_async:
            return await contained_await(call(*args))
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, context.run, contained(call), *args)


def _just_inputs(inputs: dict[str, Any]) -> None:
    """Stand for a LangChain runnable, which takes one argument."""


def _is_coroutine_function(target: Any) -> bool:
    call = getattr(type(target), "__call__", None)  # noqa: B004 - is it a coroutine function, not: is it there
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)


async def set_up(named: Any, *, factory: bool, stack: AsyncExitStack) -> Target:
    """Make the target out of what the user named; tear-down is left on `stack`.

    Raises:
        TargetError: what came out cannot be called.
        Exception: what the user's set-up raised.
    """
    made = named() if factory or inspect.isclass(named) else named
    if inspect.isawaitable(made):
        made = await made
    if hasattr(made, "__aenter__"):
        made = await stack.enter_async_context(made)
    elif hasattr(made, "__enter__") and (factory or inspect.isclass(named)):
        made = stack.enter_context(made)
    if inspect.isclass(named) or factory:
        await _call_hook(made, "setup")
        stack.push_async_callback(_call_hook, made, "teardown")
    return Target(made)


async def _call_hook(target: Any, name: str) -> None:
    hook = getattr(target, name, None)
    if callable(hook):
        result = hook()
        if inspect.isawaitable(result):
            await result
