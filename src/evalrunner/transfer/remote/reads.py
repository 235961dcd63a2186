"""Runs and feedback out of the answers of either generation of reads, their values as the bytes that came.

`POST /runs/query` (older) and `POST /api/v2/runs/query` (newer) say the same in other words: upper-case names and
`manifest` for `serialized` here, an own field for the parent there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from evalrunner.clock import SYSTEM
from evalrunner.service.paging import PAGE
from evalrunner.transfer.remote.asking import Asking

NULL = msgspec.Raw(b"null")
_INDEX = ("id", "trace_id", "start_time", "end_time", "status", "dotted_order")
_WHOLE = (
    *_INDEX,
    "name",
    "run_type",
    "reference_example_id",
    "inputs",
    "outputs",
    "error",
    "extra",
    "tags",
    "events",
)
_OF_OLDER = ("parent_run_id",)
_OF_NEWER = ("parent_run_ids",)
_APART_OLDER = ("serialized", "s3_urls", "inputs_s3_urls", "outputs_s3_urls")
_APART_NEWER = ("manifest", "attachments")
#: The newer generation looks back one day only, unless it is told where to begin (see service/pages.py).
_BEGINNING, _AHEAD = "1970-01-01T00:00:00+00:00", timedelta(days=1)
_ID = 36


class Row(msgspec.Struct):
    """What the index has of a run."""

    id: str
    trace_id: str
    start_time: str
    end_time: str | None = None
    status: str | None = None
    dotted_order: str | None = None
    parent_run_id: str | None = None
    parent_run_ids: list[str] | None = None

    @property
    def parent(self) -> str | None:
        """Its parent's id."""
        if self.parent_run_id is not None:
            return self.parent_run_id
        above = (self.dotted_order or "").split(".")[:-1]
        if above:
            return above[-1][-_ID:]
        return self.parent_run_ids[-1] if self.parent_run_ids else None

    @property
    def end(self) -> str:
        """What changes when it ends: its end and its status, as a text to be compared."""
        return f"{self.end_time or ''} {(self.status or '').lower()}"


class Run(Row):
    """A run with all that it says; what is not parsed here is the bytes of the answer."""

    name: msgspec.Raw = NULL
    run_type: str = ""
    reference_example_id: msgspec.Raw = NULL
    inputs: msgspec.Raw = NULL
    outputs: msgspec.Raw = NULL
    error: msgspec.Raw = NULL
    extra: msgspec.Raw = NULL
    tags: msgspec.Raw = NULL
    events: msgspec.Raw = NULL
    serialized: msgspec.Raw = NULL
    manifest: msgspec.Raw = NULL
    s3_urls: dict[str, Any] | None = None
    inputs_s3_urls: dict[str, Any] | None = None
    outputs_s3_urls: dict[str, Any] | None = None
    attachments: dict[str, str] | None = None


class Feedback(msgspec.Struct):
    """A feedback, likewise."""

    id: str
    key: msgspec.Raw
    run_id: str | None = None
    score: msgspec.Raw = NULL
    value: msgspec.Raw = NULL
    comment: msgspec.Raw = NULL
    correction: msgspec.Raw = NULL
    feedback_source: msgspec.Raw = NULL
    extra: msgspec.Raw = NULL
    created_at: str | None = None
    modified_at: str | None = None


class _Cursors(msgspec.Struct):
    next: str | None = None


class _OlderRows(msgspec.Struct):
    runs: list[Row]
    cursors: _Cursors | None = None


class _NewerRows(msgspec.Struct):
    items: list[Row]
    next_cursor: str | None = None


class _OlderRuns(msgspec.Struct):
    runs: list[Run]
    cursors: _Cursors | None = None


class _NewerRuns(msgspec.Struct):
    items: list[Run]


class Reads:
    """Reads one project.

    Args:
        newer: ask `/api/v2`.
        matching: only traces whose root is so, in the service's language.
    """

    def __init__(self, asking: Asking, project: str, *, newer: bool, matching: str | None = None) -> None:
        self._asking, self._project, self._newer, self._matching = asking, project, newer, matching

    def rows(self) -> Iterator[list[Row]]:
        """Return the index of the project page by page, latest start first; RefusedError, RunBroken."""
        body = self._body(_INDEX, limit=PAGE)
        if self._matching is not None:
            body["trace_filter"] = self._matching
        while True:
            page, cursor = self._page(body)
            if page:
                yield page
            if not page or not cursor:
                return
            body["cursor"] = cursor

    def _page(self, body: dict[str, Any]) -> tuple[list[Row], str | None]:
        if self._newer:
            newer = msgspec.json.decode(self._asking.post("/api/v2/runs/query", body), type=_NewerRows)
            return newer.items, newer.next_cursor
        older = msgspec.json.decode(self._asking.post("/runs/query", body), type=_OlderRows)
        return older.runs, older.cursors.next if older.cursors else None

    def runs(self, ids: Sequence[str]) -> tuple[dict[str, Run], int]:
        """Return those of these runs (a page at most) that the service gives, and how many bytes they came in."""
        body = self._body(_WHOLE, limit=len(ids))
        found: list[Run]
        if self._newer:
            data = self._asking.post("/api/v2/runs/query", {**body, "ids": list(ids)})
            found = msgspec.json.decode(data, type=_NewerRuns).items
        else:
            data = self._asking.post("/runs/query", {**body, "id": list(ids)})
            found = msgspec.json.decode(data, type=_OlderRuns).runs
        return {run.id: run for run in found}, len(data)

    def traces(self, ids: Sequence[str]) -> Iterator[Run]:
        """Return the runs of some traces, whatever their project, of a service that answers the older generation."""
        select = [*_WHOLE, *_OF_OLDER, *_APART_OLDER]
        body: dict[str, Any] = {"trace": list(ids), "select": select, "limit": PAGE}
        while True:
            page = msgspec.json.decode(self._asking.post("/runs/query", body), type=_OlderRuns)
            yield from page.runs
            cursor = page.cursors.next if page.cursors else None
            if not page.runs or not cursor:
                return
            body["cursor"] = cursor

    def _body(self, select: Sequence[str], limit: int) -> dict[str, Any]:
        whole = select is _WHOLE
        if not self._newer:
            names = [*select, *_OF_OLDER, *(_APART_OLDER if whole else ())]
            return {"session": [self._project], "select": names, "limit": limit}
        names = [*select, *_OF_NEWER, *(_APART_NEWER if whole else ())]
        return {
            "project_ids": [self._project],
            "selects": [name.upper() for name in names],
            "page_size": limit,
            "min_start_time": _BEGINNING,
            "max_start_time": (SYSTEM.utcnow() + _AHEAD).isoformat(),
        }

    def feedback(self, run_ids: Sequence[str] | None = None) -> Iterator[list[Feedback]]:
        """Return the feedback of these runs, or of the whole project, page by page."""
        params: dict[str, Any] = {"session": [self._project]} if run_ids is None else {"run": list(run_ids)}
        offset = 0
        while True:
            asked = {**params, "limit": PAGE, "offset": offset}
            page = msgspec.json.decode(self._asking.get("/feedback", asked), type=list[Feedback])
            if page:
                yield page
            if len(page) < PAGE:
                return
            offset += len(page)


def value_of(run: Run, name: str) -> bytes:
    """Return a field as it came; the newer generation has another name for one."""
    found = bytes(getattr(run, name))
    return bytes(run.manifest) if name == "serialized" and found == b"null" else found
