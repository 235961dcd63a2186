"""Asking for runs and scores wherever they are: what a target traced outside its items lies in any project."""

from __future__ import annotations

from collections.abc import Iterable

from langsmith import Client
from langsmith.utils import LangSmithNotFoundError

from evalrunner.protocol.loose import About
from evalrunner.service.pages import query_runs
from evalrunner.service.paging import PAGE, portions
from evalrunner.verify.readback import ReadBack


class Elsewhere:
    """Looks in several projects, by id.

    Args:
        projects: name -> id of those that are known already.
        newer: as for `query_runs`.
    """

    def __init__(self, client: Client, projects: dict[str, str], *, newer: bool) -> None:
        self._client = client
        self._projects: dict[str, str | None] = dict(projects)
        self._newer = newer
        self._scores = ReadBack(client, "", newer=newer)

    def missing(self, wanted: Iterable[About]) -> set[str]:
        """Return the ids that do not come back. A run whose project is not known cannot be asked for.

        Raises:
            LangSmithError: the service refuses, or cannot be reached.
        """
        wanted = list(wanted)
        missing = self._missing_scores([one for one in wanted if one.kind == "feedback" and one.run])
        by_project: dict[str, list[About]] = {}
        for one in wanted:
            if one.kind != "feedback" and one.project:
                by_project.setdefault(one.project, []).append(one)
        for project, runs in by_project.items():
            missing |= self._missing_runs(project, runs)
        return missing

    def _missing_scores(self, wanted: list[About]) -> set[str]:
        runs = list(dict.fromkeys(one.run for one in wanted))
        there = {score.id for score in self._scores.scores(runs)}
        return {one.id for one in wanted if one.id not in there}

    def _missing_runs(self, project: str, wanted: list[About]) -> set[str]:
        must_end = {one.id for one in wanted if one.ended}
        ids = list({one.id: None for one in wanted})
        found = self._project(project)
        if found is None:
            return set(ids)
        there: set[str] = set()
        for part in portions(ids, PAGE):
            for run in query_runs(self._client, found, ["id", "end_time"], newer=self._newer, ids=part):
                if run.get("end_time") or run["id"] not in must_end:
                    there.add(str(run["id"]))
        return {one for one in ids if one not in there}

    def _project(self, name: str) -> str | None:
        if self._projects.get(name) is None:
            try:
                self._projects[name] = str(self._client.read_project(project_name=name).id)
            except LangSmithNotFoundError:
                self._projects[name] = None  # it is asked for again: the service may make it late
        return self._projects[name]
