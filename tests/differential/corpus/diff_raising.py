"""Targets that raise: everywhere, and whatever Python lets one raise."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from diff_callables import async_child, child  # type: ignore[import-not-found]
from langchain_core.runnables import RunnableLambda
from langsmith import traceable

JSON = dict[str, Any]


class Panic(BaseException):
    """As Rust's panics arrive: no Exception."""


class NoText(Exception):
    """Its `str` raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class NoneText(Exception):
    """Its `str` is None."""

    def __str__(self) -> str:
        return None  # type: ignore[return-value]


class NoRepr(Exception):
    """Its `repr` raises, and so does its `str`."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class NoneRepr(BaseException):
    """Its `repr` is None, and it is no Exception."""

    def __repr__(self) -> str:
        return None  # type: ignore[return-value]


@traceable
def bad_child(error: str) -> None:
    """Raise."""
    raise ValueError(error)


def at_once(inputs: JSON) -> JSON:
    raise ValueError("at once")


async def async_at_once(inputs: JSON) -> JSON:
    raise ValueError("at once")


def after_a_child(inputs: JSON) -> JSON:
    child(inputs["i"])
    raise KeyError("after a child")


async def async_after_a_child(inputs: JSON) -> JSON:
    await async_child(inputs["i"])
    raise KeyError("after a child")


def in_a_child(inputs: JSON) -> JSON:
    bad_child("in a child")
    return {}


def chained(inputs: JSON) -> JSON:
    try:
        bad_child("first")
    except ValueError as error:
        raise LookupError("second") from error
    return {}


def grouped(inputs: JSON) -> JSON:
    if sys.version_info >= (3, 11):
        raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])  # noqa: F821
    raise ValueError("several")


def many_lines(inputs: JSON) -> JSON:
    raise RuntimeError("first line\nsecond line")


def stop_iteration(inputs: JSON) -> JSON:
    raise StopIteration("enough")


async def in_a_task(inputs: JSON) -> JSON:
    await asyncio.gather(async_child(1), async_at_once(inputs))
    return {}


async def times_out(inputs: JSON) -> JSON:
    await asyncio.wait_for(asyncio.Event().wait(), 0.001)
    return {}


def in_a_thread(inputs: JSON) -> JSON:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(at_once, inputs).result()


@traceable
def traced(inputs: JSON) -> JSON:
    raise ValueError("traced")


@traceable
async def async_traced(inputs: JSON) -> JSON:
    raise ValueError("traced")


runnable: Any = RunnableLambda(at_once)


def lambda_of_async(inputs: JSON) -> Any:
    return async_after_a_child(inputs)


@traceable
def traced_later(inputs: JSON) -> Any:
    return async_after_a_child(inputs)


def generator(inputs: JSON) -> Iterator[Any]:
    yield child(inputs["i"])
    raise ValueError("after one")


async def async_generator(inputs: JSON) -> AsyncIterator[Any]:
    yield await async_child(inputs["i"])
    raise ValueError("after one")


traced_generator: Any = traceable(generator)
traced_async_generator: Any = traceable(async_generator)


@traceable(reduce_fn=lambda chunks: {"chunks": list(chunks)})
def reduced_stream(inputs: JSON) -> Any:
    return generator(inputs)


# -- what plain `aevaluate` does not survive ---------------------------------------------------------------


def panics(inputs: JSON) -> JSON:
    child(inputs["i"])
    raise Panic("called `Option::unwrap()` on a `None` value")


async def async_panics(inputs: JSON) -> JSON:
    raise Panic("in a coroutine")


@traceable
def traced_panics(inputs: JSON) -> JSON:
    raise Panic("traced")


@traceable
async def async_traced_panics(inputs: JSON) -> JSON:
    raise Panic("traced")


def exits(inputs: JSON) -> JSON:
    sys.exit(3)


async def async_exits(inputs: JSON) -> JSON:
    sys.exit(3)


@traceable
def traced_exits(inputs: JSON) -> JSON:
    sys.exit("said")


@traceable
async def async_traced_exits(inputs: JSON) -> JSON:
    sys.exit("said")


def interrupts(inputs: JSON) -> JSON:
    raise KeyboardInterrupt


async def async_interrupts(inputs: JSON) -> JSON:
    raise KeyboardInterrupt


def generator_exit(inputs: JSON) -> JSON:
    raise GeneratorExit


async def cancelled(inputs: JSON) -> JSON:
    raise asyncio.CancelledError("by hand")


async def cancels_itself(inputs: JSON) -> JSON:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)
    return {}


def grouped_panic(inputs: JSON) -> JSON:
    if sys.version_info >= (3, 11):
        raise BaseExceptionGroup("several", [Panic("one"), ValueError("two")])  # noqa: F821
    raise Panic("several")


def lambda_of_panic(inputs: JSON) -> Any:
    return async_panics(inputs)


def lambda_of_exit(inputs: JSON) -> Any:
    return async_exits(inputs)


def generator_panics(inputs: JSON) -> Iterator[Any]:
    yield child(inputs["i"])
    raise Panic("after one")


async def async_generator_panics(inputs: JSON) -> AsyncIterator[Any]:
    yield await async_child(inputs["i"])
    raise Panic("after one")


def generator_exits(inputs: JSON) -> Iterator[Any]:
    yield child(inputs["i"])
    sys.exit(4)


async def async_generator_exits(inputs: JSON) -> AsyncIterator[Any]:
    yield await async_child(inputs["i"])
    sys.exit(4)


traced_generator_panics: Any = traceable(generator_panics)
traced_async_generator_exits: Any = traceable(async_generator_exits)


async def _exit() -> None:
    sys.exit(5)


async def exits_in_a_task(inputs: JSON) -> JSON:
    await asyncio.create_task(_exit())
    return {}


async def survives_a_task_that_exits(inputs: JSON) -> JSON:
    task = asyncio.create_task(_exit())
    try:
        await task
    except SystemExit as error:
        return {"caught": error.code}
    return {}


async def forgets_a_task_that_panics(inputs: JSON) -> JSON:
    """Nobody ever asks what became of it."""
    task = asyncio.create_task(async_panics(inputs))
    await asyncio.wait([task])
    return {"panicked": str(task.exception())}


def panics_in_a_thread(inputs: JSON) -> JSON:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(panics, inputs).result()


def no_text(inputs: JSON) -> JSON:
    child(inputs["i"])
    raise NoText


def none_text(inputs: JSON) -> JSON:
    raise NoneText("x")


def no_repr(inputs: JSON) -> JSON:
    child(inputs["i"])
    raise NoRepr


async def async_no_repr(inputs: JSON) -> JSON:
    raise NoRepr


def none_repr(inputs: JSON) -> JSON:
    raise NoneRepr


@traceable(name="named", tags=["t"])
def traced_no_repr(inputs: JSON) -> JSON:
    child(inputs["i"])
    raise NoRepr


@traceable
async def async_traced_none_repr(inputs: JSON) -> JSON:
    raise NoneRepr


@traceable
def traced_no_text(inputs: JSON) -> JSON:
    raise NoText


def generator_no_repr(inputs: JSON) -> Iterator[Any]:
    yield child(inputs["i"])
    raise NoRepr


traced_generator_no_repr: Any = traceable(generator_no_repr)


def no_repr_inside(inputs: JSON) -> JSON:
    """The text of what caused it cannot be had."""
    try:
        raise NoRepr
    except NoRepr as error:
        raise ValueError("outer") from error


def every(inputs: JSON) -> Any:
    """Be the target that the example names: one run for all of them."""
    return globals()[inputs["case"]](inputs)


async def every_async(inputs: JSON) -> Any:
    """The same for the async ones."""
    return await globals()[inputs["case"]](inputs)
