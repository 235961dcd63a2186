"""Evaluators that raise what plain `aevaluate` does not survive."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from diff_raising import NoneRepr, NoRepr, Panic  # type: ignore[import-not-found]
from langsmith import traceable
from langsmith.evaluation import RunEvaluator
from langsmith.schemas import Example, Run

JSON = dict[str, Any]


def panics(outputs: JSON) -> Any:
    raise Panic("in a judge")


async def async_panics(outputs: JSON) -> Any:
    raise Panic("in a judge")


@traceable
def traced_panics(run: Run, example: Example) -> Any:
    raise Panic("in a judge")


def exits(outputs: JSON) -> Any:
    sys.exit(7)


async def async_exits(outputs: JSON) -> Any:
    sys.exit(7)


def interrupts(outputs: JSON) -> Any:
    raise KeyboardInterrupt


async def generator_exit(outputs: JSON) -> Any:
    raise GeneratorExit


async def cancelled(outputs: JSON) -> Any:
    raise asyncio.CancelledError


def stops(outputs: JSON) -> Any:
    raise StopIteration


def no_repr(outputs: JSON) -> Any:
    raise NoRepr


async def none_repr(outputs: JSON) -> Any:
    raise NoneRepr


class Unreadable:
    """Nobody can look at it."""

    def __repr__(self) -> str:
        raise Panic("in a repr")


def unreadable(outputs: JSON) -> Any:
    return {"key": "unreadable", "score": 1, "metadata": {"by": Unreadable()}}


class Class(RunEvaluator):
    """A class of the user's own."""

    def evaluate_run(self, run: Run, example: Example | None = None, evaluator_run_id: Any = None) -> Any:
        raise Panic("in a judge")


of_class = Class()
