"""Read runs: only the columns that were asked for, and stored JSON copied without being read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.filtering.runs import METADATA, THREAD_ID
from evalbackend.http.presign import Signer
from evalbackend.store.functions import marks
from evalbackend.store.stats import run_feedback_stats
from evalbackend.store.usage_sums import show_subtrees
from evalbackend.usage_rules import USAGE
from evalbackend.wire.run_query import RunQuery, make_cursor
from evalbackend.wire.values import fragment

_ALWAYS = (
    "id",
    "name",
    "run_type",
    "start_time",
    "end_time",
    "status",
    "trace_id",
    "session_id",
    "dotted_order",
)
_TEXT = (
    *_ALWAYS, "error", "parent_run_id", "reference_example_id", "first_token_time", "prompt_tokens",
    "completion_tokens", "total_tokens", "prompt_cost", "completion_cost", "total_cost",
)  # fmt: skip
_JSON = ("tags", "extra", "inputs", "outputs", "events", "serialized")
_DETAILS = (
    "prompt_token_details",
    "completion_token_details",
    "prompt_cost_details",
    "completion_cost_details",
)
_DATASET = "(SELECT reference_dataset_id FROM sessions WHERE sessions.id = runs.session_id)"
_TIMES = ("start_time", "end_time", "first_token_time")
_NAIVE = len("2026-01-02T03:04:05.000006")
_PREVIEW = 200  # characters


@dataclass(frozen=True, slots=True)
class RunReader:
    """Turns rows into the runs that clients see."""

    connection: sqlite3.Connection
    tenant_id: str
    signer: Signer
    subtrees: bool = True  # show tokens and costs with those of all descendants
    first_tokens: bool = False  # and, of a subtree's first tokens, the earliest
    naive: bool = True  # times without an offset, as the older reads have them; all times are UTC
    comparison: str | None = None  # feedback that was given in another comparison than this is left out

    def page(self, query: RunQuery) -> dict[str, Any]:
        """Return {"runs", "cursors"}; a page is short only if it is the last."""
        way = "ASC" if query.ascending else "DESC"
        tail = f"WHERE {' AND '.join(query.where)} ORDER BY start_time {way}, id {way} LIMIT ?"
        runs = self.select(tail, [*query.args, query.limit + 1], query.select)
        following = None
        if len(runs) > query.limit:
            del runs[query.limit :]
            following = make_cursor(runs[-1]["start_time"], runs[-1]["id"])
        return {"runs": runs, "cursors": {"next": following, "prev": None}}

    def one(self, run_id: str) -> dict[str, Any]:
        """Return a run with all its fields; 404 until its create has arrived."""
        runs = self.select("WHERE id = ? AND post_n > 0", [run_id], None)
        if not runs:
            raise HttpError(404, f"run {run_id} not found")
        return runs[0]

    def select(self, tail: str, args: list[Any], select: list[str] | None) -> list[dict[str, Any]]:
        """Return the runs that the SQL `tail` picks, with the selected fields (None: all of them)."""
        wanted = _EVERYTHING if select is None else {*_ALWAYS, *select}
        columns = [(name, *_COLUMNS[name]) for name in _COLUMNS if name in wanted or name == "usage_details"]
        sql = f"SELECT {', '.join(column for _, column, _ in columns)} FROM runs {tail}"  # noqa: S608
        runs = []
        for row in self.connection.execute(sql, args):
            run: dict[str, Any] = {}
            for (name, _, read), value in zip(columns, row, strict=True):
                run[name] = value if read is None or value is None else read(value)
            runs.append(self._completed(run, wanted))
        self._joined(runs, wanted)
        return _without_offset(runs) if self.naive else runs

    def _completed(self, run: dict[str, Any], wanted: Iterable[str]) -> dict[str, Any]:
        # Usage details are returned though nobody selects them: the SDK reads them that way.
        details = run.pop("usage_details")
        if details is not None:
            run.update(orjson.loads(details))
        if "parent_run_ids" in wanted:
            run["parent_run_ids"] = [segment[-36:] for segment in (run["dotted_order"] or "").split(".")[:-1]]
        if "app_path" in wanted:
            place = f"/o/{self.tenant_id}/projects/p/{run['session_id']}/r/{run['id']}"
            run["app_path"] = f"{place}?trace_id={run['trace_id']}&start_time={run['start_time'][:_NAIVE]}"
        return run

    def _joined(self, runs: list[dict[str, Any]], wanted: Iterable[str]) -> None:
        ids = [run["id"] for run in runs]
        if self.subtrees and not {*USAGE, "first_token_time"}.isdisjoint(wanted):
            show_subtrees(self.connection, runs, first_tokens=self.first_tokens)
        if "feedback_stats" in wanted:
            stats = run_feedback_stats(self.connection, ids, self.comparison)
            for run in runs:
                run["feedback_stats"] = stats.get(run["id"])
        if "s3_urls" in wanted:
            urls = self._attachments(ids)
            for run in runs:
                run["s3_urls"] = urls.get(run["id"])
        if "child_run_ids" in wanted:
            children = self._children(ids)
            for run in runs:
                run["child_run_ids"] = children.get(run["id"], [])

    def _attachments(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        sql = f"SELECT run_id, name, mime, sha FROM run_attachments WHERE run_id IN ({marks(ids)})"  # noqa: S608
        urls: dict[str, dict[str, Any]] = {}
        for run_id, name, mime, sha in self.connection.execute(sql, ids):
            urls.setdefault(run_id, {})[f"attachment.{name}"] = self.signer.entry(sha, mime)
        return urls

    def _children(self, ids: list[str]) -> dict[str, list[str]]:
        where = f"parent_run_id IN ({marks(ids)}) AND post_n > 0"
        sql = f"SELECT parent_run_id, id FROM runs WHERE {where} ORDER BY start_time, id"  # noqa: S608
        found: dict[str, list[str]] = {}
        for parent, child in self.connection.execute(sql, ids):
            found.setdefault(parent, []).append(child)
        return found


def _without_offset(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for run in runs:
        for name in _TIMES:
            if run.get(name):
                run[name] = run[name][:_NAIVE]
    return runs


def _preview(raw: bytes) -> str:
    text = raw[: 4 * _PREVIEW].decode("utf-8", "ignore")
    return text if len(text) <= _PREVIEW else f"{text[:_PREVIEW]}..."


_Read = Callable[[Any], Any] | None
_COLUMNS: dict[str, tuple[str, _Read]] = {
    **{name: (name, None) for name in _TEXT},
    "reference_dataset_id": (_DATASET, None),
    "usage_details": ("usage_details", None),
    **{name: (name, fragment) for name in _JSON},
    "inputs_preview": ("substr(inputs, 1, 800)", _preview),
    "outputs_preview": ("substr(outputs, 1, 800)", _preview),
    "thread_id": (THREAD_ID, str),
    "metadata": (METADATA, fragment),
    "share_token": ("(SELECT share_token FROM run_shares WHERE run_id = runs.id)", None),
}
_EVERYTHING = frozenset(
    {*_COLUMNS, "parent_run_ids", "app_path", "feedback_stats", "s3_urls", "child_run_ids"}
) - {
    "inputs_preview",
    "outputs_preview",
    "metadata",
    "share_token",
}
PREVIEW_FIELDS = sorted(
    _EVERYTHING - {"inputs", "outputs", "events", "serialized", "child_run_ids"}
    | {"inputs_preview", "outputs_preview"}
)
