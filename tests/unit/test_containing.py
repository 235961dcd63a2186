"""Nothing that somebody's code raises ends a worker's loop or its main thread."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from typing import Any

import pytest

from evalrunner.errors import text_of
from evalrunner.worker.code.answers import run_in, settle
from evalrunner.worker.code.containing import Aborted, call_contained, described, ordinary, run_loop
from evalrunner.worker.code.home import Home


class Panic(BaseException):
    """No Exception."""


class Mute(Exception):
    """Neither `str` nor `repr`."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("y")])
def test_an_ordinary_exception_is_left_as_it_is(error: Exception) -> None:
    assert ordinary(error) is error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Panic("p"), "Panic('p')"),
        (SystemExit(3), "SystemExit(3)"),
        (GeneratorExit(), "GeneratorExit()"),
        (StopIteration(1), "StopIteration(1)"),
        (asyncio.CancelledError(), "CancelledError()"),
        (Mute(), "Mute (its text cannot be had: RuntimeError)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_other_becomes_one_with_its_text(error: BaseException, text: str) -> None:
    def bad() -> None:
        raise error

    with pytest.raises(Aborted) as caught:
        call_contained(bad)
    assert (repr(caught.value), str(caught.value), text_of(error)) == (text, text, text)
    assert caught.value.__cause__ is error
    said = described(caught.value)
    assert said.startswith(f"{text}\n\nTraceback")
    assert "in bad" in said
    assert "worker/code/containing.py" not in said


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), Panic("p")])
def test_a_task_that_raises_keeps_it_for_whoever_awaits_it_and_the_loop_goes_on(error: BaseException) -> None:
    async def bad() -> None:
        await asyncio.sleep(0)
        raise error

    async def main() -> tuple[bool, str]:
        task = asyncio.create_task(bad())
        await asyncio.wait([task])
        found = task.exception()
        await asyncio.sleep(0)
        return found is error, "went on"

    assert run_loop(main()) == (True, "went on")


def test_what_is_cancelled_from_inside_is_not_whoever_awaits_it() -> None:
    async def cancels() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def main() -> Any:
        with pytest.raises(asyncio.CancelledError):
            await run_in(_context(), waits(cancels()))
        await asyncio.sleep(0)
        return "not cancelled"

    async def waits(first: Any) -> None:
        await first
        await asyncio.sleep(0)

    assert run_loop(main()) == "not cancelled"


def _context() -> Any:
    import contextvars

    return contextvars.copy_context()


def test_what_is_awaited_may_give_a_generator_and_that_is_consumed() -> None:
    def three() -> Any:
        yield 1
        yield 2
        return 3

    async def later() -> Any:
        return three()

    async def main() -> Any:
        return await settle(later(), [])

    assert run_loop(main()) == [1, 2, 3]


def test_home_is_the_thread_that_serves_it_and_outlives_what_is_raised_there() -> None:
    home = Home()

    def leaves() -> None:
        sys.exit(3)

    async def main() -> tuple[int, int]:
        with pytest.raises(SystemExit):
            await home.call(leaves)
        return await home.call(threading.get_ident), threading.get_ident()

    called, loop = home.live(main())
    assert called == threading.get_ident() != loop


def test_notes_that_cannot_be_read_are_no_way_out() -> None:
    class Sour(Exception):
        @property
        def __notes__(self) -> list[str]:
            raise KeyboardInterrupt

    def bad() -> None:
        raise Sour("s")

    with pytest.raises(Aborted) as caught:
        call_contained(bad)
    assert "".join(traceback.format_exception(caught.value)).endswith("Sour('s')\n")
    assert "in bad" in described(caught.value)


def test_home_raises_what_its_loop_ended_with() -> None:
    async def main() -> None:
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        Home().live(main())
