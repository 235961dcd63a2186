"""Reading an experiment where it is: whole traces, a few at a time, files, and the dataset's examples."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import requests
from langsmith import Client

from evalrunner.errors import ServiceError
from evalrunner.service.pages import older_pages
from evalrunner.service.paging import portions
from evalrunner.transfer.push.transform import FIELDS, FIELDS_APART, Files
from evalrunner.transfer.remote.calls import ASK, get, rows

_WHOLE = [*FIELDS, *FIELDS_APART, "id", "trace_id", "parent_run_id", "dotted_order", "session_id",
          "reference_example_id", "s3_urls"]  # fmt: skip


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

    def traces(self, trace_ids: Sequence[str], rated: Container[str]) -> list[Trace]:
        """Return whole traces, all of which are in memory then.

        Args:
            rated: the runs that have feedback.
        """
        found = {trace: Trace(trace, [], []) for trace in trace_ids}
        owner = {}
        for run in older_pages(self._client, {"trace": list(trace_ids), "select": _WHOLE}):
            found[run["trace_id"]].runs.append(run)
            owner[run["id"]] = run["trace_id"]
        for row in self._feedback([run for run in owner if run in rated]):
            found[owner[row["run_id"]]].feedback.append(row)
        for trace in found.values():
            trace.runs.sort(key=lambda run: str(run["dotted_order"]))
        return list(found.values())

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
