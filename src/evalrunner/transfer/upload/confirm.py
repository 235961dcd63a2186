"""Confirming an upload: every run and every score of every accepted trace is asked for by its id."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import requests
from langsmith import utils as sdk

from evalrunner.clock import SYSTEM
from evalrunner.transfer.upload.index import SOUND, Index, State, Tree
from evalrunner.transfer.upload.rewrite import Placed
from evalrunner.transfer.upload.source import Source, Traces
from evalrunner.transfer.upload.there import Destination, Known

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: Runs that are asked for together; a trace may have more.
_TOGETHER = 1000


@dataclass(frozen=True)
class Lack:
    """What the destination does not have of a trace of so many runs.

    Attributes:
        absent, unended: runs that are not there, or there without the end that they have.
        unscored: ids of feedback.
    """

    count: int
    absent: Sequence[Placed]
    unended: Sequence[Placed]
    unscored: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.absent or self.unended or self.unscored)

    @property
    def partly(self) -> bool:
        """Some of its runs are there."""
        return len(self.absent) < self.count

    @property
    def said(self) -> str:
        """In words."""
        told, count = [], self.count
        if self.absent:
            told.append(
                f"{len(self.absent)} of {count} runs do not come back, {self.absent[0].row.id} among them"
            )
        if self.unended:
            first = self.unended[0].row.id
            told.append(
                f"{len(self.unended)} of {count} runs are there without their end, {first} among them"
            )
        if self.unscored:
            told.append(f"{len(self.unscored)} of its scores do not come back")
        return "; ".join(told)


class Confirmer:
    """Asks for what was accepted, until it has come back or time is up.

    Attributes:
        missing: what has not come back, by trace: in words.
        trouble: why the destination could not be read the last time, or "".
    """

    def __init__(self, index: Index, source: Source, there: Destination) -> None:
        self._index, self._source, self._there = index, source, there
        self.missing: dict[int, str] = {}
        self.trouble = ""

    def wait(self, seconds: float, tell: Callable[[], None]) -> None:
        """Ask again and again, until nothing is missing that could still appear.

        Args:
            seconds: the longest to wait once all has been asked for.
            tell: is called now and then.
        """
        patiently(lambda: self.look(State.ACCEPTED, tell), seconds)

    def look(self, state: State, tell: Callable[[], None]) -> bool:
        """Ask once for every trace in a state, and book those that are there; return whether all are."""
        self.missing.clear()
        try:
            for some in together(self._index.trees(f"{SOUND} AND state = ?", int(state))):
                lacking = self.lacking(some)
                self._index.book((tree.n, State.SEEN, None) for tree in some if tree.n not in lacking)
                self.missing.update((n, lack.said) for n, lack in lacking.items())
                tell()
            self.trouble = ""
        except (sdk.LangSmithError, requests.RequestException) as error:
            self.trouble = unread(error)
        return not self.missing and not self.trouble

    def lacking(self, trees: list[Tree]) -> dict[int, Lack]:
        """Return of each trace what the destination does not have of it; those of which it has all are not named."""
        placed = self._source.placed(trees)
        known = self.known(placed)
        lacks = ((n, self._lack(runs, known)) for n, runs in placed.items())
        return {n: lack for n, lack in lacks if lack}

    def known(self, placed: Traces) -> Known:
        """Ask what there is of some traces."""
        runs = [one for some in placed.values() for one in some]
        return self._there.known([one.id for one in runs], [one.id for one in runs if one.row.scores])

    def _lack(self, runs: Sequence[Placed], known: Known) -> Lack:
        absent = [one for one in runs if one.id not in known.ids]
        unended = [one for one in runs if one.row.finish is not None and one.id in known.open]
        return Lack(len(runs), absent, unended, [one for one in self._scores(runs) if one not in known.ids])

    def _scores(self, runs: Iterable[Placed]) -> Iterator[str]:
        for one in runs:
            if one.row.scores:
                yield from self._source.score_ids(one)


def unread(error: Exception) -> str:
    """Say that there was no answer."""
    return f"the destination cannot be read back at the moment ({type(error).__name__})"


def patiently(look: Callable[[], bool], seconds: float) -> None:
    """Look again and again until all is there, or so many seconds have passed since the first look."""
    pause, end = _FIRST_PAUSE, float("inf")
    while not look():
        end = min(end, SYSTEM.monotonic() + seconds)
        left = end - SYSTEM.monotonic()
        if left <= 0:
            return
        threading.Event().wait(min(pause, left))
        pause = min(_LONGEST_PAUSE, 2 * pause)


def together(trees: Iterable[Tree]) -> Iterator[list[Tree]]:
    """Put traces together to about as many runs as are asked for at once."""
    some: list[Tree] = []
    runs = 0
    for tree in trees:
        some.append(tree)
        runs += tree.runs
        if runs >= _TOGETHER:
            yield some
            some, runs = [], 0
    if some:
        yield some
