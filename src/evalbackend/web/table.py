"""The rows of an experiment: filtered, sorted and paged in SQL, with what their cells show."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any

import orjson

from evalbackend.store.functions import like, marks
from evalbackend.store.scope import Scope
from evalbackend.web.digest import Digests
from evalbackend.web.text import HEAD, Field, one_line, preview

PAGE = 50
FILTERS = {
    "all": "all",
    "failed": "failed",
    "holes": "missing or pending",
    "slow": "slow",
    "low": "low score",
}
SORTS = {
    "order": "dataset order",
    "slow": "slowest first",
    "low": "lowest score first",
    "high": "highest score first",
}
_WHERE = {
    "all": "1",
    "failed": "i.failed > 0",
    "holes": "(i.missing > 0 OR i.pending > 0)",
    "slow": "i.slowest >= :slow",
    # Low is below the middle between the lowest and the highest mean of the same key.
    "low": "i.pos IN (SELECT s.pos FROM json_each(:middles) m CROSS JOIN item_scores s ON s.session = :session "
    "AND s.key = m.key AND s.mean < m.value)",
}
_SCORED = (
    "LEFT JOIN (SELECT pos, AVG(mean) AS score FROM item_scores WHERE session = :session "
    "AND (:key = '' OR key = :key) GROUP BY pos) o ON o.pos = i.pos"
)
_ORDER = {
    "order": "i.pos",
    "slow": "i.slowest IS NULL, i.slowest DESC, i.pos",
    "low": "o.score IS NULL, o.score, i.pos",
    "high": "o.score IS NULL, o.score DESC, i.pos",
}


@dataclass(frozen=True, slots=True)
class View:
    """What a visitor asked of the table; unknown words mean the default."""

    show: str = "all"
    sort: str = "order"
    key: str = ""
    search: str = ""
    page: int = 1

    @property
    def plain(self) -> bool:
        """Whether nothing narrows the table."""
        return self.show == "all" and not self.search


@dataclass(slots=True)
class Row:
    """One example of the experiment."""

    pos: int
    example_id: str
    version: int
    gone: bool
    counted: int
    pending: int
    missing: int
    failed: int
    extra: int
    ends: int
    latency: float | None
    scores: dict[str, tuple[float | None, str | None]] = field(default_factory=dict)
    run_id: str | None = None
    error: str | None = None
    inputs: list[Field] = field(default_factory=list)
    reference: list[Field] = field(default_factory=list)
    outputs: list[Field] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The worst that can be said of it."""
        for word, count in (("missing", self.missing), ("pending", self.pending), ("failed", self.failed)):
            if count:
                of = self.counted + self.pending + self.missing
                return f"{count} of {of} {word}" if of > 1 else word
        return "visible"


def read_rows(digests: Digests, scope: Scope, view: View, found: list[str] | None) -> tuple[list[Row], int]:
    """Return a page of rows without their texts, and how many rows there are; `found`: ids of a search."""
    named = {**_named(digests, scope, view.key), "key": view.key}
    where = f"i.session = :session AND {_WHERE[view.show]}"
    tables = "FROM items i JOIN plan p ON p.session = i.session AND p.pos = i.pos"
    if found is not None:
        where += " AND p.example_id IN (SELECT value FROM json_each(:found))"
        named["found"] = orjson.dumps(found).decode()
        total = digests.rows(f"SELECT COUNT(*) {tables} WHERE {where}", **named)[0][0]
    else:
        total = filter_counts(digests, scope, view.key)[view.show]
    scored = _SCORED if view.sort in ("low", "high") else ""
    rows = digests.rows(
        "SELECT i.pos, p.example_id, version, gone, counted, pending, missing, failed, extra, ends, latency "
        f"{tables} {scored} WHERE {where} ORDER BY {_ORDER[view.sort]} LIMIT {PAGE} OFFSET :offset",
        **named,
        offset=(view.page - 1) * PAGE,
    )
    page = [Row(*row) for row in rows]
    _add_scores(digests, scope, page)
    _add_runs(digests, scope, page)
    return page, total


def filter_counts(digests: Digests, scope: Scope, key: str) -> dict[str, int]:
    """Return how many examples each filter leaves."""
    return digests.once(("filters", scope.id, key), lambda: _filter_counts(digests, scope, key))


def _filter_counts(digests: Digests, scope: Scope, key: str) -> dict[str, int]:
    sums = ", ".join(f"COALESCE(SUM({_WHERE[name]}), 0)" for name in FILTERS)
    sql = f"SELECT {sums} FROM items i WHERE i.session = :session"  # noqa: S608
    return dict(zip(FILTERS, digests.rows(sql, **_named(digests, scope, key))[0], strict=True))


def _named(digests: Digests, scope: Scope, key: str) -> dict[str, Any]:
    middles = {one: middle for one, middle in _middles(digests, scope).items() if key in ("", one)}
    slow = slow_from(digests, scope)
    return {"session": scope.id, "slow": slow, "middles": orjson.dumps(middles).decode()}


def _middles(digests: Digests, scope: Scope) -> dict[str, float]:
    sql = "SELECT key, (MIN(mean) + MAX(mean)) / 2 FROM item_scores WHERE session = ? AND mean NOT NULL GROUP BY key"
    return digests.once(("middles", scope.id), lambda: dict(digests.rows(sql, scope.id)))


def slow_from(digests: Digests, scope: Scope) -> float:
    """Return the 95th percentile of the slowest runs of the examples."""
    return digests.once(("slow", scope.id), lambda: _slow_from(digests, scope))


def _slow_from(digests: Digests, scope: Scope) -> float:
    rows = digests.rows(
        "SELECT slowest FROM items WHERE session = :session AND slowest IS NOT NULL ORDER BY 1 DESC LIMIT 1 "
        "OFFSET (SELECT COUNT(slowest) / 20 FROM items WHERE session = :session)",
        session=scope.id,
    )
    return float(rows[0][0]) if rows else 0.0


def _add_scores(digests: Digests, scope: Scope, page: list[Row]) -> None:
    by_pos = {row.pos: row for row in page}
    for key in score_keys(digests, scope):
        sql = f"SELECT pos, mean, value FROM item_scores WHERE session = ? AND key = ? AND pos IN ({marks(page)})"  # noqa: S608
        for pos, mean, value in digests.rows(sql, scope.id, key, *by_pos):
            by_pos[pos].scores[key] = (mean, value)


def score_keys(digests: Digests, scope: Scope) -> list[str]:
    """Return the keys of the experiment's scores: those that it names first, in its order."""
    return digests.once(("keys", scope.id), lambda: _score_keys(digests, scope))


def _score_keys(digests: Digests, scope: Scope) -> list[str]:
    # A key under which nothing but errors of evaluators stands is a guess of the SDK, where it is not named.
    there = digests.rows(
        "SELECT key FROM item_scores WHERE session = ? GROUP BY key "
        "HAVING COUNT(mean) + COUNT(value) > 0 OR ? ORDER BY key",
        scope.id,
        not scope.named,
    )
    return list(dict.fromkeys([*scope.keys, *(row[0] for row in there)]))


def _add_runs(digests: Digests, scope: Scope, page: list[Row]) -> None:
    # The run to show is a failed one, if there is one: that is what one looks for.
    sql = (
        "SELECT pos, id FROM roots INDEXED BY roots_by_pos WHERE session = ? "  # noqa: S608
        f"AND pos IN ({marks(page)}) ORDER BY failed, kind <> 'counted' DESC, start_time DESC"
    )
    by_pos = {row.pos: row for row in page}
    for pos, run_id in digests.rows(sql, scope.id, *by_pos):
        by_pos[pos].run_id = run_id


def add_texts(connection: sqlite3.Connection, page: list[Row]) -> None:
    """Add inputs, reference and outputs, as far as cells show them."""
    examples = {
        row[0]: row[1:]
        for row in connection.execute(
            f"SELECT version, substr(inputs, 1, {HEAD}), substr(outputs, 1, {HEAD}) FROM example_versions "  # noqa: S608
            f"WHERE version IN ({marks(page)})",
            [row.version for row in page],
        )
    }
    runs = {
        row[0]: row[1:]
        for row in connection.execute(
            f"SELECT id, substr(error, 1, {HEAD}), substr(outputs, 1, {HEAD}) FROM runs "  # noqa: S608
            f"WHERE id IN ({marks(page)})",
            [row.run_id for row in page],
        )
    }
    for row in page:
        row.inputs, row.reference = map(preview, examples.get(row.version, (None, None)))
        error, outputs = runs.get(row.run_id, (None, None))
        row.error, row.outputs = (one_line(error) if error else None), preview(outputs)


def search(connection: sqlite3.Connection, scope: Scope, text: str) -> list[str]:
    """Return ids of examples that hold the text in inputs, reference, id, or in an output or error."""
    rows = connection.execute(
        "SELECT example_id FROM example_versions WHERE dataset_id = ?1 AND (CAST(inputs AS TEXT) LIKE ?3 ESCAPE '\\' "
        "OR CAST(outputs AS TEXT) LIKE ?3 ESCAPE '\\' OR example_id LIKE ?3 ESCAPE '\\') "
        "UNION SELECT reference_example_id FROM runs WHERE session_id = ?2 AND post_n > 0 AND parent_run_id IS NULL "
        "AND (CAST(outputs AS TEXT) LIKE ?3 ESCAPE '\\' OR error LIKE ?3 ESCAPE '\\')",
        (scope.dataset_id, scope.id, like(text)),
    )
    return [row[0] for row in rows if row[0]]
