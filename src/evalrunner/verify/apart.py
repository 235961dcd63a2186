"""Telling what a service fails at from what it merely fails to tell together with that.

A service that fails for ever at one run or its scores must not hide the others: where it answers, and not for these,
they are asked for in halves, until it is known which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from langsmith.utils import (
    LangSmithAuthError,
    LangSmithConnectionError,
    LangSmithError,
    LangSmithRateLimitError,
    LangSmithRequestTimeout,
)
from requests import JSONDecodeError

from evalrunner.service.errors import failure
from evalrunner.verify.readback import IDS, ReadBack, Score

T = TypeVar("T")
#: Failures that may be about what was asked for; an answer that is no JSON is one.
FAILURE = (LangSmithError, JSONDecodeError)
#: Those of them that never are.
OUTAGE = (LangSmithConnectionError, LangSmithRequestTimeout, LangSmithRateLimitError, LangSmithAuthError)
_NOBODY = str(UUID(int=0))


def culprits(
    readback: ReadBack, ask: Callable[[Sequence[T]], None], asked: Sequence[T], error: Exception
) -> dict[T, str]:
    """Find those at which the service fails, after it failed at all of them together.

    Args:
        ask: asks for some, and keeps what is answered; it is called with what is not unreadable once.

    Returns:
        Each of them, with what the service does.

    Raises:
        Exception: the experiment cannot be read at the moment, whoever is asked for.
    """
    # If this fails too, the service is at fault, and not what was asked for.
    readback.seen([_NOBODY])
    list(readback.scores([_NOBODY]))
    return _divide(ask, asked, error)


def _divide(ask: Callable[[Sequence[T]], None], asked: Sequence[T], error: Exception) -> dict[T, str]:
    if len(asked) == 1:
        return {asked[0]: f"LangSmith {failure(error)}"}
    found: dict[T, str] = {}
    for half in (asked[: len(asked) // 2], asked[len(asked) // 2 :]):
        try:
            ask(half)
        except OUTAGE:
            raise
        except FAILURE as again:
            found |= _divide(ask, half, again)
    return found


def read_scores(readback: ReadBack, run_ids: Sequence[str]) -> tuple[list[Score], dict[str, str]]:
    """Return the feedback of these runs, and those of them whose feedback cannot be read: run id -> why.

    Raises:
        Exception: none can be read at the moment.
    """
    found: list[Score] = []
    unreadable: dict[str, str] = {}
    for at in range(0, len(run_ids), IDS):
        part = run_ids[at : at + IDS]
        try:
            found += list(readback.scores(part))
        except OUTAGE:
            raise
        except FAILURE as error:
            unreadable |= _apart(readback.once(), part, error, found)
    return found, unreadable


def _apart(
    readback: ReadBack, run_ids: Sequence[str], error: Exception, found: list[Score]
) -> dict[str, str]:
    def ask(some: Sequence[str]) -> None:
        found.extend(list(readback.scores(some)))  # all its pages or none

    return culprits(readback, ask, run_ids, error)
