"""An experiment: verdict and holes, scores, rows; and two of them side by side."""

from __future__ import annotations

import sqlite3
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from evalbackend.http.state import state
from evalbackend.store.scope import Scope
from evalbackend.web import compare as comparing
from evalbackend.web import judges, listing, overview, scores, table
from evalbackend.web.digest import Digests
from evalbackend.web.paging import Pages, choice, page_number, wanted, wanted_query, words
from evalbackend.web.render import HEADERS, page
from evalbackend.web.site import site
from evalbackend.web.text import Field, one_line, preview

_FIRST_HOLES = 3
_HOLES = 100


async def experiment(request: Request) -> Response:
    """What became of every item, the worst first."""
    session, view = wanted(request), _view(request)
    scope = await site(request).digested(lambda digests: digests.scope(session))
    if scope.dataset_id is None:
        return RedirectResponse(f"/ui/projects/{session}", 303, HEADERS)
    store = state(request).store
    found = await store.read(lambda c: table.search(c, scope, view.search)) if view.search else None
    shown = await site(request).digested(lambda digests: _summed(digests, session, view, found))

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        table.add_texts(connection, shown["rows"])
        asks = _asks(connection, shown["groups"])
        others = _others(connection, scope)
        return {"dataset": listing.name_of(connection, str(scope.dataset_id)), "others": others, "asks": asks}

    rest = await store.read(read)
    known = {"filters": table.FILTERS, "sorts": table.SORTS, "view": view}
    return page(request, "experiment.html", **{**shown, **rest, **known})


def _others(connection: sqlite3.Connection, scope: Scope) -> list[dict[str, Any]]:
    """Return what the experiment can be compared with: the one before it first."""
    others = listing.siblings(connection, scope.id, str(scope.dataset_id))
    return sorted(others, key=lambda other: other["start_time"] > scope.start_time)


def _view(request: Request) -> table.View:
    return table.View(
        show=choice(request, "show", table.FILTERS, "all"),
        sort=choice(request, "sort", table.SORTS, "order"),
        key=words(request, "key"),
        search=words(request, "q"),
        page=page_number(request),
    )


def _summed(digests: Digests, session: str, view: table.View, found: list[str] | None) -> dict[str, Any]:
    scope = digests.scope(session)
    told = overview.read_overview(digests, scope)
    rows, total = table.read_rows(digests, scope, view, found)
    return {
        "scope": scope,
        "overview": told,
        "groups": overview.groups(digests, scope, told, _FIRST_HOLES),
        "judge_errors": judges.judge_errors(digests, scope) if told.unjudged else [],
        "counts": table.filter_counts(digests, scope, view.key),
        "score_lines": scores.score_lines(digests, scope, told.planned),
        "summaries": scores.summaries(digests, scope),
        "latency": scores.latency(digests, scope),
        "slow": table.slow_from(digests, scope),
        "keys": table.score_keys(digests, scope),
        "rows": rows,
        "pages": Pages(view.page, table.PAGE, total),
    }


def _asks(connection: sqlite3.Connection, groups: list[overview.Group]) -> dict[str, list[Field]]:
    """Return what the examples of holes ask."""
    sql = "SELECT substr(inputs, 1, 6000) FROM example_versions WHERE example_id = ? ORDER BY valid_from DESC LIMIT 1"
    ids = {hole.example_id for group in groups for hole in group.rows if hole.example_id}
    found = {example: connection.execute(sql, (example,)).fetchone() for example in ids}
    return {example: preview(row[0], 76) for example, row in found.items() if row}


async def holes(request: Request) -> Response:
    """All holes of one kind."""
    session, number = wanted(request), page_number(request)
    asked = choice(request, "kind", dict.fromkeys(overview.KINDS, ""), "")

    def summed(digests: Digests) -> dict[str, Any]:
        scope = digests.scope(session)
        told = overview.read_overview(digests, scope)
        kind = asked or next((kind for kind, count in told.holes.items() if count), "missing")
        group = overview.group(digests, scope, told, kind, _HOLES, (number - 1) * _HOLES)
        return {"scope": scope, "overview": told, "group": group, "pages": Pages(number, _HOLES, group.count)}

    shown = await site(request).digested(summed)
    asks = await state(request).store.read(lambda connection: _asks(connection, [shown["group"]]))
    return page(request, "holes.html", **shown, asks=asks)


async def compare(request: Request) -> Response:
    """Two experiments, example by example."""
    ids = (wanted_query(request, "a"), wanted_query(request, "b"))
    show, number = choice(request, "show", comparing.SHOWS, "changed"), page_number(request)
    asked = words(request, "key")

    def summed(digests: Digests) -> dict[str, Any]:
        a, b = (digests.scope(session) for session in ids)
        keys = list(dict.fromkeys([*table.score_keys(digests, a), *table.score_keys(digests, b)]))
        means = comparing.means(digests, a, b, keys)
        key = asked if asked in keys else comparing.first_key(means)
        counts = comparing.counts(digests, a, b, key)
        return {
            "a": a, "b": b, "keys": keys, "key": key, "counts": counts,
            "overviews": [overview.read_overview(digests, side) for side in (a, b)],
            "latencies": [scores.latency(digests, side) for side in (a, b)],
            "means": means,
            "pairs": comparing.pairs(digests, a, b, show, number),
            "pages": Pages(number, comparing.PAGE, counts[show]),
        }  # fmt: skip

    shown = await site(request).digested(summed)

    def read(connection: sqlite3.Connection) -> str:
        _add_pairs(connection, shown["pairs"])
        wanted_id = shown["b"].dataset_id
        return listing.name_of(connection, wanted_id) if wanted_id else ""

    name = await state(request).store.read(read)
    return page(request, "compare.html", **shown, dataset=name, show=show, shows=comparing.SHOWS)


def _add_pairs(connection: sqlite3.Connection, pairs: list[comparing.Pair]) -> None:
    example = (
        "SELECT substr(inputs, 1, 6000), substr(outputs, 1, 6000) FROM example_versions WHERE version = ?"
    )
    run = "SELECT substr(outputs, 1, 6000), substr(error, 1, 6000) FROM runs WHERE id = ?"
    for pair in pairs:
        pair.inputs, pair.reference = map(preview, connection.execute(example, (pair.version,)).fetchone())
        sides = (
            connection.execute(run, (one,)).fetchone() or (None, None) for one in (pair.run_a, pair.run_b)
        )
        (out_a, error_a), (out_b, error_b) = sides
        pair.outputs_a, pair.outputs_b = preview(out_a), preview(out_b)
        pair.error_a, pair.error_b = (one_line(error) if error else None for error in (error_a, error_b))
