"""Reads of the second generation: pages of runs and traces, and the examples of experiments."""

from __future__ import annotations

import base64
import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.store.examples_query import ExampleQuery, has_runs
from evalbackend.store.examples_read import ExampleReader
from evalbackend.store.functions import in_traces, marks
from evalbackend.store.runs_read import RunReader
from evalbackend.usage_rules import COSTS, USAGE, counted
from evalbackend.wire.run_query import RunQuery
from evalbackend.wire.v2_shape import AGGREGATES, Shape

_MOST_IN_A_TRACE = 25_000
_SUMS = ", ".join(
    f"SUM(CAST({counted('runs', name)} AS {'REAL' if name in COSTS else 'INTEGER'}))" for name in USAGE
)


def run_page(reader: RunReader, query: RunQuery, shape: Shape) -> dict[str, Any]:
    """Return {"items", "next_cursor"}, latest start first."""
    query.select = shape.fields
    page = reader.page(query)
    return {"items": [shape.shown(run) for run in page["runs"]], "next_cursor": page["cursors"]["next"]}


def trace_page(reader: RunReader, query: RunQuery, shape: Shape) -> dict[str, Any]:
    """Return a page of traces: the root run, and beside it what is summed up over the trace."""
    of_root = Shape(tuple(token for token in shape.selects if token not in AGGREGATES) or ("ID",), shape.base)
    summed = [token.lower() for token in shape.selects if token in AGGREGATES]
    query.select = of_root.fields
    page = reader.page(query)
    totals = trace_totals(reader.connection, [run["id"] for run in page["runs"]]) if summed else {}
    items = []
    for run in page["runs"]:
        item: dict[str, Any] = {"root_run": of_root.shown(run)}
        if summed:
            item["trace_aggregates"] = {name: totals.get(run["id"], {}).get(name) for name in summed}
        items.append(item)
    return {"items": items, "next_cursor": page["cursors"]["next"]}


def trace_runs(reader: RunReader, query: RunQuery, shape: Shape) -> dict[str, Any]:
    """Return all runs of a trace, first start first."""
    tail = f"WHERE {' AND '.join(query.where)} ORDER BY start_time, id LIMIT {_MOST_IN_A_TRACE}"
    return {"items": [shape.shown(run) for run in reader.select(tail, query.args, shape.fields)]}


def one_run(reader: RunReader, run_id: str, project_id: str, shape: Shape) -> dict[str, Any]:
    """Return a run of a project; 404 if it is not there."""
    runs = reader.select(
        "WHERE id = ? AND +session_id = ? AND post_n > 0", [run_id, project_id], shape.fields
    )
    if not runs:
        raise HttpError(404, f"run {run_id} not found in project {project_id}")
    return shape.shown(runs[0])


def trace_totals(connection: sqlite3.Connection, traces: list[str]) -> dict[str, dict[str, Any]]:
    """Return trace id -> tokens and costs, summed up over its runs, and its first token's time."""
    sql = (
        f"SELECT trace_id, {_SUMS}, MIN(first_token_time) FROM runs "  # noqa: S608
        f"WHERE {in_traces('SELECT value FROM json_each(?1)')} AND post_n > 0 GROUP BY trace_id"
    )
    rows = connection.execute(sql, (orjson.dumps(traces).decode(),))
    return {row[0]: dict(zip((*USAGE, "first_token_time"), row[1:], strict=True)) for row in rows}


@dataclass(frozen=True, slots=True)
class ExperimentRuns:
    """Which examples of a dataset, with which of their runs, and in which order."""

    dataset_id: str
    sessions: list[str]
    examples: list[str] | None
    filters: dict[str, list[str]]
    comparison: str | None
    sort_key: str | None
    ascending: bool
    limit: int
    offset: int


def experiment_page(
    examples: ExampleReader, runs: RunReader, asked: ExperimentRuns, shape: Shape
) -> dict[str, Any]:
    """Return a page of examples that have root runs in these experiments, each with those runs.

    An example that was deleted since is shown in its last version: its runs are still there.
    """
    picked = _picked(examples.connection, asked)
    page, more = picked[: asked.limit], len(picked) > asked.limit
    versions = [version for version, _ in page]
    query = ExampleQuery(where=[f"version IN ({marks(versions)})"], args=versions)
    query.select(["attachment_urls"], exclude_default=False)
    order = {example: number for number, (_, example) in enumerate(page)}
    found = sorted(examples.page(query), key=lambda example: order[example["id"]]) if page else []
    of_example = _runs(runs, [example["id"] for example in found], asked.sessions, shape)
    for example in found:
        example["runs"] = of_example.get(example["id"], [])
    return {"items": found, "next_cursor": make_offset(asked.offset + asked.limit) if more else None}


def _picked(connection: sqlite3.Connection, asked: ExperimentRuns) -> list[tuple[int, str]]:
    where = [
        "dataset_id = ?",
        "NOT EXISTS (SELECT 1 FROM example_versions later WHERE later.example_id = v.example_id "
        "AND later.valid_from > v.valid_from)",
    ]
    args: list[Any] = [asked.dataset_id]
    if asked.examples is not None:
        where.append(f"example_id IN ({marks(asked.examples)})")
        args += asked.examples
    conditions, more = has_runs("v", asked.sessions, asked.filters, subtrees=False)
    where += conditions
    args += more
    order, keys = _order(asked)
    sql = f"SELECT version, example_id FROM example_versions v WHERE {' AND '.join(where)} {order}"  # noqa: S608
    return connection.execute(
        f"{sql} LIMIT ? OFFSET ?", (*args, *keys, asked.limit + 1, asked.offset)
    ).fetchall()


def _order(asked: ExperimentRuns) -> tuple[str, list[Any]]:
    if asked.sort_key is None:
        return "ORDER BY created_at, example_id", []
    score = (
        "(SELECT AVG(score) FROM feedback WHERE key = ? AND run_id IN (SELECT id FROM runs "
        "WHERE reference_example_id = v.example_id AND session_id = ?))"
    )
    way = "ASC" if asked.ascending else "DESC"
    return f"ORDER BY {score} {way} NULLS LAST, created_at, example_id", [asked.sort_key, asked.sessions[0]]


def _runs(
    reader: RunReader, examples: list[str], sessions: list[str], shape: Shape
) -> dict[str, list[dict[str, Any]]]:
    tail = (
        f"WHERE reference_example_id IN ({marks(examples)}) AND +session_id IN ({marks(sessions)}) "
        "AND parent_run_id IS NULL AND post_n > 0 ORDER BY start_time, id"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for run in reader.select(tail, [*examples, *sessions], [*shape.fields, "reference_example_id"]):
        found.setdefault(run["reference_example_id"], []).append(shape.shown(run))
    return found


def make_offset(offset: int) -> str:
    """Return an opaque text for a place in a list."""
    return base64.urlsafe_b64encode(orjson.dumps([offset])).decode()


def read_offset(cursor: str) -> int:
    """Return the place that `make_offset` told; 400 for any other text."""
    try:
        (offset,) = orjson.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError):
        offset = None
    if isinstance(offset, int) and not isinstance(offset, bool) and 0 <= offset < 2**53:
        return offset
    raise HttpError(400, "the cursor is not one that this server gave out")
