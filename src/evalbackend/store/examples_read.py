"""Examples as clients see them, read from their versions."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.http.presign import Signer
from evalbackend.store.bookmarks import Bookmarks
from evalbackend.store.examples_query import DEFAULT_FIELDS, ExampleQuery, ExampleRuns, has_runs
from evalbackend.store.functions import marks
from evalbackend.store.runs_read import PREVIEW_FIELDS, RunReader
from evalbackend.store.versions import moment
from evalbackend.wire.run_query import RunQuery
from evalbackend.wire.values import fragment

_SELECT = (
    "SELECT version, example_id, dataset_id, created_at, valid_from, source_run_id, metadata, inputs, "
    "outputs FROM example_versions"
)
_NEWEST = "SELECT MAX(as_of) FROM dataset_versions WHERE dataset_id = ?"


@dataclass(frozen=True, slots=True)
class ExampleReader:
    """Turns rows into the examples that clients see."""

    connection: sqlite3.Connection
    tenant_id: str
    signer: Signer
    bookmarks: Bookmarks | None = None

    def page(self, query: ExampleQuery) -> list[dict[str, Any]]:
        """Return a page in the order in which the examples were created."""
        rows = self._rows(query)
        if not rows and query.tag is not None:
            for dataset_id in query.datasets:
                moment(self.connection, dataset_id, query.tag)
        return self._shown(rows, query.fields)

    def _rows(self, query: ExampleQuery) -> list[tuple[Any, ...]]:
        listing, stand = (*query.where, *query.args), self._stand(query)
        where, args, offset = list(query.where), list(query.args), query.offset
        if self.bookmarks is not None and stand is not None and offset:
            before = self.bookmarks.find(listing, offset, stand)
            if before is not None:
                # The order is that of (created_at, example_id), and no two rows of one listing have the same.
                where, args, offset = [*where, "(created_at, example_id) > (?, ?)"], [*args, *before], 0
        tail = f"WHERE {' AND '.join(where)} ORDER BY created_at, example_id LIMIT ? OFFSET ?"
        rows = self.connection.execute(f"{_SELECT} {tail}", (*args, query.limit, offset)).fetchall()
        if self.bookmarks is not None and stand is not None and rows:
            self.bookmarks.keep(listing, query.offset + len(rows), stand, (rows[-1][3], rows[-1][1]))
        return rows

    def _stand(self, query: ExampleQuery) -> tuple[str, ...] | None:
        """Return what changes with every write of the dataset's examples, and with its tag; None if there is none.

        Each write makes a version of the dataset, whose time is later than that of any before it.
        """
        if len(query.datasets) != 1:
            return None
        (dataset_id,) = query.datasets
        asked: list[tuple[str, tuple[str, ...]]] = [(_NEWEST, (dataset_id,))]
        if query.tag is not None:
            tagged = "SELECT as_of FROM dataset_tags WHERE dataset_id = ? AND tag = ?"
            asked.append((tagged, (dataset_id, query.tag)))
        found = [self.connection.execute(sql, args).fetchone() for sql, args in asked]
        return tuple(row[0] for row in found) if all(row and row[0] for row in found) else None

    def one(self, example_id: str, when: str | None) -> dict[str, Any]:
        """Return one example with its attachments; 404 if it was not there at that time."""
        query = ExampleQuery(where=["example_id = ?"], args=[example_id], limit=1)
        query.as_of(when)
        query.select(["attachment_urls"], exclude_default=False)
        page = self.page(query)
        if not page:
            raise HttpError(404, f"example {example_id} not found")
        return page[0]

    def with_runs(self, asked: ExampleRuns) -> list[Any]:
        """Return a page of the examples that have the root runs asked for, each with its runs.

        An example that was deleted since is shown in its last version: its runs are still there.
        """
        conditions, args = has_runs("example_versions", asked.sessions, asked.filters)
        tail = (
            "WHERE dataset_id = ? AND NOT EXISTS (SELECT 1 FROM example_versions later WHERE "  # noqa: S608
            "later.example_id = example_versions.example_id AND later.valid_from > example_versions.valid_from) "
            f"AND {' AND '.join(conditions)} ORDER BY created_at, example_id LIMIT ? OFFSET ?"
        )
        rows = self.connection.execute(
            f"{_SELECT} {tail}", (asked.dataset_id, *args, asked.limit, asked.offset)
        ).fetchall()
        examples = self._shown(rows, DEFAULT_FIELDS | {"attachment_urls"})
        runs = self._runs_of([example["id"] for example in examples], asked)
        return [{**example, "runs": runs.get(example["id"], [])} for example in examples]

    def _runs_of(self, ids: list[str], asked: ExampleRuns) -> dict[str, list[dict[str, Any]]]:
        query = RunQuery()
        query.add(f"reference_example_id IN ({marks(ids)})", *ids)
        query.add(f"+session_id IN ({marks(asked.sessions)}) AND parent_run_id IS NULL", *asked.sessions)
        tail = f"WHERE {' AND '.join(query.where)} ORDER BY start_time, id"
        reader = RunReader(self.connection, self.tenant_id, self.signer, comparison=asked.comparison)
        found: dict[str, list[dict[str, Any]]] = {}
        for run in reader.select(tail, query.args, PREVIEW_FIELDS if asked.preview else None):
            found.setdefault(run["reference_example_id"], []).append(run)
        return found

    def _shown(self, rows: list[tuple[Any, ...]], fields: frozenset[str]) -> list[dict[str, Any]]:
        urls = self._attachments([row[0] for row in rows]) if "attachment_urls" in fields else {}
        return [_example(row, fields, urls.get(row[0])) for row in rows]

    def _attachments(self, versions: list[int]) -> dict[int, dict[str, Any]]:
        sql = f"SELECT version, name, mime, sha FROM example_attachments WHERE version IN ({marks(versions)})"  # noqa: S608
        urls: dict[int, dict[str, Any]] = {}
        for version, name, mime, sha in self.connection.execute(sql, versions):
            urls.setdefault(version, {})[f"attachment.{name}"] = self.signer.entry(sha, mime)
        return urls


def _example(row: tuple[Any, ...], fields: frozenset[str], urls: dict[str, Any] | None) -> dict[str, Any]:
    _, example_id, dataset_id, created, modified, source, metadata, inputs, outputs = row
    values: dict[str, Any] = {
        "dataset_id": dataset_id,
        "name": f"#{example_id[:4]}",
        "created_at": created,
        "modified_at": modified,
        "source_run_id": source,
        "metadata": orjson.Fragment(metadata),
        "inputs": fragment(inputs),
        "outputs": fragment(outputs),
        "attachment_urls": urls,
    }
    return {"id": example_id, **{name: value for name, value in values.items() if name in fields}}
