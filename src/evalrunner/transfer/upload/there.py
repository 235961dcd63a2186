"""Asking the destination what it has of the traces that were sent: by id, or all that they say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langsmith import Client

from evalrunner.service.pages import query_runs
from evalrunner.service.paging import PAGE, portions
from evalrunner.transfer.remote.calls import ASK, rows


@dataclass(frozen=True)
class Known:
    """What the destination has of some traces: ids of runs and scores, and of those runs that have no end there."""

    ids: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()


#: Nothing of them is there.
NOTHING = Known()


class Destination:
    """The project there, read.

    Args:
        newer: it answers the newer generation of reads only.
    """

    def __init__(self, client: Client, project: str, *, newer: bool) -> None:
        self._client, self._project, self._newer = client, project, newer

    def projects(self) -> list[str]:
        """Return the ids of the projects in which runs are looked for."""
        return [self._project]

    def runs(self, ids: Sequence[str], fields: Sequence[str] = ("end_time",)) -> dict[str, dict[str, Any]]:
        """Return those of these runs that are there."""
        found: dict[str, dict[str, Any]] = {}
        for some in portions(ids, PAGE):
            for run in query_runs(
                self._client, self.projects(), ["id", *fields], newer=self._newer, ids=some
            ):
                found[run["id"]] = run
        return found

    def scores(self, runs: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the feedback of runs, by its id."""
        return {
            row["id"]: row
            for some in portions(list(runs), ASK)
            for row in rows(self._client, "/feedback", {"run": list(some)})
        }

    def known(self, runs: Sequence[str], scored: Iterable[str]) -> Known:
        """Return what is there of runs, and the feedback of those of them that have some."""
        found = self.runs(runs)
        unended = (one for one, run in found.items() if not run.get("end_time"))
        return Known(frozenset(found).union(self.scores(scored)), frozenset(unended))
