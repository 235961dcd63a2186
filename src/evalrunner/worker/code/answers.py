"""What a target gives back before it is a value: something to await, a generator to consume.

The SDK decides by the look of a function whether to await it, and leaves a generator that nobody consumes without
a run (run_helpers.py:938). Here it is what came back that decides.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Iterator
from contextvars import Context
from typing import Any

from evalrunner.worker.code.containing import end_copy


def is_pending(answer: Any) -> bool:
    """Tell whether it is still to come."""
    return not isinstance(answer, (dict, str)) and (
        inspect.isawaitable(answer) or inspect.isasyncgen(answer) or inspect.isgenerator(answer)
    )


def is_generator(answer: Any) -> bool:
    """Tell whether it is to be consumed, and not awaited: what `types.coroutine` makes is a generator by its type."""
    return inspect.isgenerator(answer) and not inspect.isawaitable(answer)


def is_stream(answer: Any) -> bool:
    """Tell whether its run ends when it has been consumed: a traced generator, or the SDK's traced stream."""
    return is_generator(answer) or inspect.isasyncgen(answer) or hasattr(answer, "__ls_stream__")


def consume(generator: Iterator[Any], items: list[Any]) -> Any:
    """Add what a generator yields, and in the end returns, to `items`; return what the SDK would record of it."""
    try:
        while True:
            items.append(next(generator))
    except StopIteration as end:
        if end.value is not None:
            items.append(end.value)
    return items or None


async def settle(answer: Any, items: list[Any]) -> Any:
    """Await and consume until there is a value; what a generator yields is in `items` as it comes."""
    while is_pending(answer):
        if inspect.isasyncgen(answer):
            async for item in answer:
                items.append(item)
            answer = items or None
        elif is_generator(answer):
            answer = consume(answer, items)
        else:
            answer = await answer
    return answer


async def run_in(context: Context, awaitable: Awaitable[Any]) -> Any:
    """Await it in a context, as a task of its own: whatever it cancels, it is no lane.

    What it raises is handed over as a value: thrown into an awaiting coroutine, a GeneratorExit closes all that
    this awaits, down to generators of the SDK's that are running.
    """
    task = context.run(asyncio.get_running_loop().create_task, _outcome(awaitable))
    value, error = await task
    if error is not None:
        raise error
    return value


async def _outcome(awaitable: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    pid = os.getpid()
    try:
        answer = await awaitable
    except BaseException as error:
        end_copy(pid, error)
        return None, error
    end_copy(pid)
    return answer, None
