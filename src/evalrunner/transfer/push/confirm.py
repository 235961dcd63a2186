"""Reading the copy back, by id: which runs, scores and examples of it the destination shows."""

from __future__ import annotations

import threading
from collections.abc import Container, Sequence

import requests
from langsmith import Client
from langsmith import utils as sdk

from evalrunner.clock import SYSTEM
from evalrunner.service.pages import query_runs
from evalrunner.service.paging import PAGE, portions
from evalrunner.transfer.push.place import present
from evalrunner.transfer.push.source import Index
from evalrunner.transfer.push.transform import Rewriting
from evalrunner.transfer.remote.calls import ASK, get, rows

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: Runs that have ended have another status (success, error).
_PENDING = 'eq(status, "pending")'


def open_runs(client: Client, to: Rewriting, index: Index, newer: bool) -> set[str]:
    """Return the runs that the projects of the copy show without an end, others' runs among them."""
    sessions = [str(to.experiment)]
    for name in dict.fromkeys(index.projects.values()):
        sessions += [row["id"] for row in get(client, "/sessions", {"name": name, "limit": 1})]
    return {
        run["id"]
        for one in sessions
        for run in query_runs(client, one, ["id"], newer=newer, matching=_PENDING)
    }


class Confirmation:
    """Asks for the copy's ids until all have come back, or time is up.

    Attributes:
        runs: ids that have not come back yet, with the original's id.
        feedback: likewise.
        examples: ids that have not come back yet.
        unended: of `runs`, those that are there without the end that the original has.
        trouble: why the destination could not be read the last time, or "".
    """

    def __init__(self, client: Client, index: Index, to: Rewriting, examples: list[str], newer: bool) -> None:
        self._client, self._to, self._newer = client, to, newer
        self._projects: dict[str, str] = {}
        self._asked: dict[str, tuple[str | None, str]] = {}
        self._rated: dict[str, list[str]] = {}
        self.trouble = ""
        self.unended: set[str] = set()
        self._open = index.open
        self.examples = dict.fromkeys(examples)
        self.runs: dict[str, str] = {}
        self.feedback = {to.id(row["id"]): row["id"] for row in index.session_feedback}
        for trace, runs in index.traces.items():
            self._want(index, trace, runs)

    def _want(self, index: Index, trace: str, runs: list[str]) -> None:
        for run in runs:
            self.runs[self._to.id(run)] = run
            self._asked[self._to.id(run)] = (index.projects.get(trace), trace)
        scores = index.feedback.get(trace, [])
        self.feedback.update((self._to.id(score), score) for score in scores)
        if scores:
            self._rated[trace] = [self._to.id(run) for run in runs]

    def wait(self, seconds: float, refused: Container[str]) -> None:
        """Ask again and again, until nothing is missing that could still appear.

        Args:
            seconds: the longest to wait.
            refused: ids that the destination did not take: asked for (an answer may have been lost), not waited for.
        """
        end, pause = SYSTEM.monotonic() + seconds, _FIRST_PAUSE
        while not self._pass(refused) and (left := end - SYSTEM.monotonic()) > 0:
            threading.Event().wait(min(pause, left))
            pause = min(_LONGEST_PAUSE, 2 * pause)

    def _pass(self, refused: Container[str]) -> bool:
        """Ask once; True if there is nothing to wait for. An outage is no answer: the next pass asks again."""
        try:
            self._ask_runs()
            self._ask_feedback()
            for found in present(self._client, self._to.dataset, list(self.examples)):
                self.examples.pop(found, None)
            self.trouble = ""
        except (sdk.LangSmithError, requests.RequestException) as error:
            self.trouble = f"the destination cannot be read back at the moment ({type(error).__name__})"
        awaited = (one for one in (*self.runs, *self.feedback, *self.examples) if one not in refused)
        return not self.trouble and next(awaited, None) is None

    def _ask_runs(self) -> None:
        projects: dict[str | None, list[str]] = {}
        for run in self.runs:
            projects.setdefault(self._asked[run][0], []).append(run)
        for project, runs in projects.items():
            session = self._session(project)
            if session is not None:
                self._find_runs(session, runs)

    def _find_runs(self, session: str, runs: Sequence[str]) -> None:
        for some in portions(runs, PAGE):
            wanted = ["id", "end_time"]
            for found in query_runs(self._client, session, wanted, newer=self._newer, ids=some):
                self._found(found["id"], bool(found.get("end_time")))

    def _found(self, run: str, ended: bool) -> None:
        if ended or self.runs.get(run) in self._open:
            self.runs.pop(run, None)
            self.unended.discard(run)
        else:
            self.unended.add(run)

    def _session(self, project: str | None) -> str | None:
        """Return the id of a project there; None while there is none of this name."""
        if project is None:
            return str(self._to.experiment)
        if project not in self._projects:
            found = get(self._client, "/sessions", {"name": project, "limit": 1})
            if not found:
                return None
            self._projects[project] = found[0]["id"]
        return self._projects[project]

    def _ask_feedback(self) -> None:
        if not self.feedback:
            return
        # Scores are nearly always the root's; of other runs they are asked for only where some are missing.
        self._find_feedback([runs[0] for runs in self._rated.values()])
        if self.feedback:
            self._find_feedback([run for runs in self._rated.values() for run in runs[1:]])
        params = {"session": [str(self._to.experiment)], "level": "session"}
        for row in rows(self._client, "/feedback", params) if self.feedback else ():
            self.feedback.pop(row["id"], None)

    def _find_feedback(self, runs: Sequence[str]) -> None:
        for some in portions(runs, ASK):
            for row in rows(self._client, "/feedback", {"run": some}):
                self.feedback.pop(row["id"], None)
