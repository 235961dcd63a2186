"""Asking the destination what it has of the traces that were sent: by id, or all that they say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from langsmith import Client

from evalrunner.service.pages import query_runs
from evalrunner.service.paging import PAGE, portions
from evalrunner.transfer.remote.calls import ASK, rows


class Destination:
    """The project there, read.

    Args:
        newer: it answers the newer generation of reads only.
    """

    def __init__(self, client: Client, project: str, *, newer: bool) -> None:
        self._client, self._project, self._newer = client, project, newer

    def runs(self, ids: Sequence[str], fields: Sequence[str] = ("end_time",)) -> dict[str, dict[str, Any]]:
        """Return those of these runs that are there."""
        found: dict[str, dict[str, Any]] = {}
        for some in portions(ids, PAGE):
            for run in query_runs(self._client, self._project, ["id", *fields], newer=self._newer, ids=some):
                found[run["id"]] = run
        return found

    def scores(self, runs: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the feedback of runs, by its id."""
        return {
            row["id"]: row
            for some in portions(list(runs), ASK)
            for row in rows(self._client, "/feedback", {"run": list(some)})
        }
