"""Read examples, as they are or as they were."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.filtering.language import Grammar, parse
from evalbackend.filtering.runs import of_run
from evalbackend.http.presign import Signer
from evalbackend.store.bookmarks import Bookmarks
from evalbackend.store.functions import marks
from evalbackend.store.runs_read import PREVIEW_FIELDS, RunReader
from evalbackend.store.versions import LATEST, is_time, moment
from evalbackend.wire.run_query import RunQuery
from evalbackend.wire.values import fragment, time_text, uuid_text

_SELECT = (
    "SELECT version, example_id, dataset_id, created_at, valid_from, source_run_id, metadata, inputs, "
    "outputs FROM example_versions"
)
_TAGGED = "SELECT as_of FROM dataset_tags t WHERE t.dataset_id = example_versions.dataset_id"
_NEWEST = "SELECT MAX(as_of) FROM dataset_versions WHERE dataset_id = ?"
_DEFAULT = frozenset({"dataset_id", "created_at", "modified_at", "inputs", "outputs", "metadata", "name",
                      "source_run_id"})  # fmt: skip


def _coerce(name: str, value: Any) -> Any:
    if value is not None and name in ("created_at", "modified_at"):
        return time_text(value, name)
    return uuid_text(value, name) if value is not None and name.endswith("id") else value


GRAMMAR = Grammar(
    {
        "id": "example_id",
        "created_at": "created_at",
        "modified_at": "valid_from",
        "source_run_id": "source_run_id",
    },
    {"metadata": "metadata", "inputs": "CAST(inputs AS TEXT)", "outputs": "CAST(outputs AS TEXT)"},
    {},
    _coerce,
)


@dataclass(slots=True)
class ExampleQuery:
    """A condition over example versions, a page, and the fields to show."""

    where: list[str] = field(default_factory=list)
    args: list[Any] = field(default_factory=list)
    limit: int = 100
    offset: int = 0
    fields: frozenset[str] = _DEFAULT
    datasets: list[str] = field(default_factory=list)
    tag: str | None = None

    def add(self, condition: str, *args: Any) -> None:
        """Narrow the query."""
        self.where.append(condition)
        self.args += args

    def among(self, datasets: list[str], ids: list[str]) -> None:
        """Narrow to some datasets and some examples; 400 if neither is said."""
        self.datasets = datasets
        for column, values in (("dataset_id", datasets), ("example_id", ids)):
            if values:
                self.add(f"{column} IN ({marks(values)})", *values)
        if not self.where:
            raise HttpError(400, "either dataset or id must be given")

    def as_of(self, when: str | None) -> None:
        """Narrow to what held at a time, or at the version with a tag; None or "latest" is the present."""
        if when is None or when == LATEST:
            self.add("valid_to IS NULL")
            return
        stamp, value = "?", when
        if is_time(when):
            value = time_text(when, "as_of")
        else:
            self.tag, stamp = when, f"({_TAGGED} AND tag = ?)"
        self.add(f"valid_from <= {stamp} AND (valid_to IS NULL OR valid_to > {stamp})", value, value)

    def splits(self, names: list[str]) -> None:
        """Narrow to examples that are in one of these splits; no names, no narrowing."""
        if names:
            some = marks(names)
            each = "json_each(example_versions.metadata, '$.dataset_split')"
            self.add(f"EXISTS (SELECT 1 FROM {each} WHERE value IN ({some}))", *names)  # noqa: S608

    def filter(self, text: str | None) -> None:
        """Narrow by the filter language."""
        if text:
            condition, args = GRAMMAR.sql(parse(text))
            self.add(condition, *args)

    def select(self, names: list[str], exclude_default: bool) -> None:
        """Choose the fields to show; where none is named, there is nothing to leave the others out for."""
        self.fields = frozenset(names) if exclude_default and names else _DEFAULT | frozenset(names)


@dataclass(frozen=True, slots=True)
class ExampleRuns:
    """Which examples of a dataset, with which of their runs.

    `filters`: experiment -> what an example's run in it must be like for the example to be shown.
    """

    dataset_id: str
    sessions: list[str]
    filters: dict[str, list[str]]
    comparison: str | None
    limit: int
    offset: int
    preview: bool


def has_runs(
    examples: str, sessions: list[str], filters: dict[str, list[str]], *, subtrees: bool = True
) -> tuple[list[str], list[Any]]:
    """Return the conditions, with arguments, that an example has root runs in the sessions, as filtered."""
    conditions: list[str] = []
    args: list[Any] = []
    for session in filters or {"": []}:
        some = [session] if session else sessions
        condition = f"session_id IN ({marks(some)}) AND parent_run_id IS NULL AND post_n > 0"
        args += some
        for one in filters.get(session, []):
            more, values = of_run(one, subtrees=subtrees)
            condition += f" AND {more}"
            args += values
        example = f"reference_example_id = {examples}.example_id"
        conditions.append(f"EXISTS (SELECT 1 FROM runs WHERE {example} AND {condition})")  # noqa: S608  our words and ? only
    return conditions, args


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
        examples = self._shown(rows, _DEFAULT | {"attachment_urls"})
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
