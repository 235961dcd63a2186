"""The same target in every form that a user may give it: adds one, with a child run `add`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableLambda
from langsmith import traceable
from noting import note  # type: ignore[import-not-found]  # beside this file, as a user's modules are

JSON = dict[str, Any]


@traceable
def add(number: int) -> int:
    """Be a child run."""
    return number + 1


@traceable
async def async_add(number: int) -> int:
    """Be an async child run."""
    return number + 1


def sync(inputs: JSON) -> JSON:
    """The plain one."""
    note(inputs["i"])
    return {"sum": add(inputs["i"])}


async def asynchronous(inputs: JSON) -> JSON:
    """The async one."""
    note(inputs["i"])
    return {"sum": await async_add(inputs["i"])}


@traceable
def traced(inputs: JSON) -> JSON:
    """Makes its root run itself."""
    note(inputs["i"])
    return {"sum": add(inputs["i"])}


@traceable(name="traced under another name")
async def async_traced(inputs: JSON) -> JSON:
    """Makes its root run itself."""
    note(inputs["i"])
    return {"sum": await async_add(inputs["i"])}


def not_a_dictionary(inputs: JSON) -> int:
    """Answers with something that the SDK wraps."""
    note(inputs["i"])
    return add(inputs["i"])


def _first(inputs: JSON) -> int:
    note(inputs["i"])
    return int(inputs["i"])


runnable = RunnableLambda(_first) | RunnableLambda(lambda number: {"sum": number + 1})


class Model:
    """Built once per worker process."""

    def __init__(self) -> None:
        note("model", "built")

    def setup(self) -> None:
        """Load."""
        note("model", "setup")

    def teardown(self) -> None:
        """Unload."""
        note("model", "teardown")

    def __call__(self, inputs: JSON) -> JSON:
        """Answer."""
        return sync(inputs)


class Late(Model):
    """In every process but one, its set-up goes on for a second after that one has done all and is taken down."""

    def setup(self) -> None:
        """Load, slowly."""
        super().setup()
        log = Path(os.environ["EXECUTIONS"])
        try:
            log.with_suffix(".first").touch(exist_ok=False)
        except FileExistsError:
            while "teardown" not in log.read_text():
                time.sleep(0.01)
            time.sleep(1)


class AsyncModel:
    """The same, async throughout."""

    async def setup(self) -> None:
        """Load."""
        note("model", "setup")

    async def teardown(self) -> None:
        """Unload."""
        note("model", "teardown")

    async def __call__(self, inputs: JSON) -> JSON:
        """Answer."""
        return await asynchronous(inputs)


def factory() -> Callable[[JSON], JSON]:
    """Make the target, once per worker process."""
    note("model", "built")
    return sync


async def async_factory() -> Callable[[JSON], Awaitable[JSON]]:
    """Make the target, once per worker process, awaiting something."""
    note("model", "built")
    return asynchronous


@contextlib.contextmanager
def managed() -> Iterator[Callable[[JSON], JSON]]:
    """Make the target and take it down again."""
    note("model", "setup")
    yield sync
    note("model", "teardown")
