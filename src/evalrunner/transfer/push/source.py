"""Reading an experiment where it is: first what there is (ids and times), then whole traces, a few at a time."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urljoin

import requests
from langsmith import Client

from evalrunner.errors import ServiceError
from evalrunner.service.pages import older_pages
from evalrunner.service.paging import PAGE, portions
from evalrunner.transfer.push.transform import FIELDS, FIELDS_APART, Files, evaluator_run, read_time
from evalrunner.transfer.remote.calls import ASK, get, rows

#: Traces that are read at once, and held in memory.
_TOGETHER = 10
_INDEX = ["id", "trace_id", "start_time", "end_time", "session_id", "reference_example_id"]
_WHOLE = [*FIELDS, *FIELDS_APART, "id", "trace_id", "parent_run_id", "dotted_order", "session_id",
          "reference_example_id", "s3_urls"]  # fmt: skip
T = TypeVar("T")


@dataclass
class Index:
    """What there is to push, by original ids.

    Attributes:
        traces: the runs of each trace.
        starts: of the runs, by trace: the earliest.
        feedback: the feedback of each trace's runs.
        projects: of traces that are no part of the experiment (its evaluators'): their project.
        session_feedback: of the experiment itself, whole.
        newest: the last time of a run.
        open: runs that have not ended.
        examples: what runs are of.
    """

    traces: dict[str, list[str]] = field(default_factory=dict)
    starts: dict[str, datetime] = field(default_factory=dict)
    feedback: dict[str, list[str]] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)
    session_feedback: list[dict[str, Any]] = field(default_factory=list)
    newest: datetime | None = None
    open: set[str] = field(default_factory=set)
    examples: set[str] = field(default_factory=set)

    @property
    def runs(self) -> frozenset[str]:
        """Every run."""
        return frozenset(run for runs in self.traces.values() for run in runs)


@dataclass(frozen=True)
class Trace:
    """One trace with all that it says: its runs, parents before children, and their feedback."""

    id: str
    runs: list[dict[str, Any]]
    feedback: list[dict[str, Any]]


class Source:
    """One experiment, read."""

    def __init__(self, client: Client, experiment_id: str) -> None:
        self._client = client
        self._experiment = experiment_id
        self._files = requests.Session()  # a connection for each attachment would take longer than its bytes

    def session(self) -> dict[str, Any]:
        """Return the experiment as it is stored."""
        found: dict[str, Any] = get(self._client, f"/sessions/{self._experiment}")
        return found

    def index(self) -> Index:
        """Look at every id and time of the experiment, and at the evaluators' traces that it leads to."""
        index, owner, evaluators = Index(), {}, dict[str, None]()
        for run in older_pages(self._client, {"session": [self._experiment], "select": _INDEX}):
            _note(index, run)
            owner[run["id"]] = run["trace_id"]
        for row in rows(self._client, "/feedback", {"session": [self._experiment]}):
            if row.get("run_id") is None:
                index.session_feedback.append(row)
            elif row["run_id"] in owner:
                index.feedback.setdefault(owner[row["run_id"]], []).append(row["id"])
            if (judge := evaluator_run(row)) and judge not in owner:
                evaluators[judge] = None
        self._add_evaluators(index, list(evaluators))
        return index

    def _add_evaluators(self, index: Index, run_ids: list[str]) -> None:
        found: dict[str, None] = {}
        for some in portions(run_ids, PAGE):
            found |= {
                run["trace_id"]: None
                for run in older_pages(self._client, {"id": some, "select": ["trace_id"]})
            }
        names: dict[str, str] = {}
        for some in portions([trace for trace in found if trace not in index.traces], PAGE):
            for run in older_pages(self._client, {"trace": some, "select": _INDEX}):
                session = run["session_id"]
                if session not in names:
                    names[session] = get(self._client, f"/sessions/{session}")["name"]
                _note(index, run)
                index.projects[run["trace_id"]] = names[session]

    def traces(self, trace_ids: Sequence[str], rated: Container[str]) -> Iterator[Trace]:
        """Return whole traces.

        Args:
            rated: the traces that have feedback.
        """
        for some in portions(trace_ids, _TOGETHER):
            found = {trace: Trace(trace, [], []) for trace in some}
            owner = {}
            for run in older_pages(self._client, {"trace": some, "select": _WHOLE}):
                found[run["trace_id"]].runs.append(run)
                owner[run["id"]] = run["trace_id"]
            for row in self._feedback([run for run, trace in owner.items() if trace in rated]):
                found[owner[row["run_id"]]].feedback.append(row)
            for trace in found.values():
                trace.runs.sort(key=lambda run: str(run["dotted_order"]))
                yield trace

    def _feedback(self, run_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        for some in portions(run_ids, ASK):
            yield from rows(self._client, "/feedback", {"run": list(some)})

    def files(self, urls: dict[str, Any] | None) -> Files:
        """Fetch attachments."""
        return {
            name.removeprefix("attachment."): (entry["mime_type"], self._fetch(entry["presigned_url"]))
            for name, entry in (urls or {}).items()
            if name.startswith("attachment.")
        }

    def _fetch(self, url: str) -> bytes:
        # Relative addresses are below the endpoint; they carry a signature and take no key.
        response = self._files.get(urljoin(f"{self._client.api_url}/", url.lstrip("/")), timeout=60)
        if response.status_code != 200:
            raise ServiceError(
                f"an attachment of the experiment cannot be read here ({response.status_code})"
            )
        return response.content


def _note(index: Index, run: dict[str, Any]) -> None:
    trace, start = run["trace_id"], read_time(run["start_time"])
    index.traces.setdefault(trace, []).append(run["id"])
    index.starts[trace] = min(start, index.starts.get(trace, start))
    last = max(start, read_time(run["end_time"])) if run.get("end_time") else start
    if not run.get("end_time"):
        index.open.add(run["id"])
    if run.get("reference_example_id"):
        index.examples.add(run["reference_example_id"])
    index.newest = max(last, index.newest or last)


def examples(client: Client, dataset_id: str, as_of: str | None) -> Iterator[list[dict[str, Any]]]:
    """Return a dataset's examples as of a version, page by page."""
    params: dict[str, Any] = {"dataset": dataset_id, "select": ["attachment_urls"]}
    if as_of:
        params["as_of"] = as_of
    page: list[dict[str, Any]] = []
    for row in rows(client, "/examples", params):
        page.append(row)
        if len(page) == ASK:
            yield page
            page = []
    if page:
        yield page
