"""Set-up and tear-down of a target, once per process.

A class is instantiated, a factory is called, context managers are entered, `setup()` is called; tear-down in the
opposite order when the worker drains. What is sync happens at home (worker/code/home.py), where a sync target is
called too; what is async, and everything of an async target, on the event loop.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from evalrunner.errors import text_of
from evalrunner.worker.code.home import Home
from evalrunner.worker.code.target import Target, looks_async

logger = logging.getLogger(__name__)
Place = Callable[..., Awaitable[Any]]
#: What asyncio says to code that wants a running loop where there is none, and to code that would run its own
#: where there is one (asyncio/events.py, runners.py, base_events.py).
_WANTS_LOOP = ("no running event loop",)
_WANTS_NONE = (
    "cannot be called from a running event loop",
    "event loop is already running",
    "while another loop is running",
)


def has_tear_down(named: Any, *, factory: bool) -> bool:
    """Whether something may have to be taken down again after `set_up`."""
    return factory or inspect.isclass(named) or hasattr(named, "__aenter__")


async def set_up(named: Any, *, factory: bool, stack: AsyncExitStack, home: Home) -> Target:
    """Make the target out of what the user named; tear-down is left on `stack`.

    Whether what a factory makes is async is not known before. If it wants a running loop and there is none, or
    the other way round, it is made again in the other place.

    Raises:
        TargetError: what came out cannot be called.
        Exception: what the user's set-up raised.
    """
    made = factory or inspect.isclass(named)
    on_loop = looks_async(named)
    try:
        return await _build(named, made, stack, _here if on_loop else home.call, home)
    except RuntimeError as error:
        if not made or not text_of(error).rstrip("')\"").endswith(_WANTS_NONE if on_loop else _WANTS_LOOP):
            raise
        logger.info("the target's set-up is tried again: %s", error)
    return await _build(named, made, stack, home.call if on_loop else _here, home)


async def _build(named: Any, made: bool, stack: AsyncExitStack, place: Place, home: Home) -> Target:
    async with AsyncExitStack() as own:
        target = await _maybe(place(named)) if made else named
        if hasattr(target, "__aenter__"):
            target = await own.enter_async_context(target)
        elif made and hasattr(target, "__enter__"):
            target = await _enter(target, place, own)
        found = Target(target, home)
        if made:
            where = _here if found.is_async else place
            await _call_hook(target, "setup", where)
            own.push_async_callback(_call_hook, target, "teardown", where)
        stack.push_async_exit(own.pop_all())
        return found


async def _enter(manager: Any, place: Place, stack: AsyncExitStack) -> Any:
    entered = await place(type(manager).__enter__, manager)

    async def leave(*error: Any) -> Any:
        return await place(type(manager).__exit__, manager, *error)

    stack.push_async_exit(leave)
    return entered


async def _call_hook(target: Any, name: str, place: Place) -> None:
    hook = getattr(target, name, None)
    if callable(hook):
        await _maybe(place(hook))


async def _here(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


async def _maybe(called: Awaitable[Any]) -> Any:
    answer = await called
    return await answer if inspect.isawaitable(answer) else answer
