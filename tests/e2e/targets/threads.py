"""Targets that are bound to the thread in which they were set up, and one that exits in every way there is."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

from noting import note  # type: ignore[import-not-found]  # beside this file, as a user's modules are

JSON = dict[str, Any]
here = threading.local()
here.imported = True
#: A handle of the module's own: sqlite refuses it to every other thread.
of_module = sqlite3.connect(":memory:")
loops_at_import = asyncio.run(asyncio.sleep(0, "ran"))


async def _ran() -> bool:
    await asyncio.sleep(0)
    return True


def _where() -> JSON:
    return {
        "imported": getattr(here, "imported", None),
        "set up": getattr(here, "set_up", None),
        "entered": getattr(here, "entered", None),
        "of module": of_module.execute("select 1").fetchone()[0],
        "main": threading.current_thread() is threading.main_thread(),
    }


class Bound:
    """Everything of it wants the same thread, and no running loop."""

    def __init__(self) -> None:
        self.handle = sqlite3.connect(":memory:")
        self.ran = asyncio.run(_ran())
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def __enter__(self) -> Bound:
        here.entered = True
        return self

    def __exit__(self, *_: object) -> None:
        self.handle.execute("select 1")
        note("left", "begin")

    def setup(self) -> None:
        """Set what is this thread's own."""
        here.set_up = asyncio.run(_ran())

    def teardown(self) -> None:
        """Use it again."""
        self.handle.close()
        assert here.set_up
        self.handle = sqlite3.connect(":memory:")
        note("torn", "begin")

    def __call__(self, inputs: JSON) -> JSON:
        """Answer with what is there."""
        one = self.handle.execute("select 1").fetchone()[0]
        return {"sum": inputs["i"] + one, "looped": asyncio.run(_ran()), **_where()}


def factory() -> Callable[[JSON], JSON]:
    """Make such a one from a function."""
    here.set_up = here.entered = asyncio.run(_ran())
    handle = sqlite3.connect(":memory:")

    def target(inputs: JSON) -> JSON:
        return {"sum": inputs["i"] + handle.execute("select 1").fetchone()[0], "looped": True, **_where()}

    return target


@contextlib.contextmanager
def managed() -> Iterator[Callable[[JSON], JSON]]:
    """Make such a one for a while."""
    yield factory()
    of_module.execute("select 1")
    note("left", "begin")


class Awaiting:
    """An async target: all of it is on the event loop, from its making on."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Awaiting:
        assert asyncio.get_running_loop() is self.loop
        return self

    async def __aexit__(self, *_: object) -> None:
        assert asyncio.get_running_loop() is self.loop

    async def setup(self) -> None:
        """Be on the loop."""
        assert asyncio.get_running_loop() is self.loop

    async def teardown(self) -> None:
        """Be on the loop."""
        assert asyncio.get_running_loop() is self.loop
        note("torn", "begin")

    async def __call__(self, inputs: JSON) -> JSON:
        """Answer."""
        return {"sum": inputs["i"] + 1, "same": asyncio.get_running_loop() is self.loop}


def async_factory_in_disguise() -> Callable[[JSON], Any]:
    """Want a running loop, as a client session does, and not look like it."""
    loop = asyncio.get_running_loop()

    async def target(inputs: JSON) -> JSON:
        return {"sum": inputs["i"] + 1, "same": asyncio.get_running_loop() is loop}

    return target


class RunsALoopFirst(Awaiting):
    """An async target that runs a loop of its own while it is made."""

    def __init__(self) -> None:
        self.ran = asyncio.run(_ran())

    async def __aenter__(self) -> RunsALoopFirst:
        self.loop = asyncio.get_running_loop()
        return self
