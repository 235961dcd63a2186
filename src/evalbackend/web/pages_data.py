"""Datasets, examples, projects."""

from __future__ import annotations

import sqlite3
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from evalbackend.http.state import state
from evalbackend.store.scope import read_scope
from evalbackend.store.standing import Standing
from evalbackend.web import listing, trace
from evalbackend.web.paging import Pages, page_number, wanted, words
from evalbackend.web.render import HEADERS, page
from evalbackend.web.site import site
from evalbackend.wire.values import optional_uuid

_EXPERIMENTS = 20


async def datasets(request: Request) -> Response:
    """All datasets, and the projects that hold traces."""
    search, number = words(request, "q"), page_number(request)

    def read(connection: sqlite3.Connection) -> tuple[list[dict[str, Any]], int, list[dict[str, Any]]]:
        return *listing.datasets(connection, search, number), listing.projects(connection)

    found, total, projects = await state(request).store.read(read)
    pages = Pages(number, listing.PAGE, total)
    return page(request, "datasets.html", datasets=found, projects=projects, pages=pages, search=search)


async def dataset(request: Request) -> Response:
    """A dataset: its experiments, then its examples."""
    dataset_id, search, number = wanted(request), words(request, "q"), page_number(request)
    among, store, standings = page_number(request, "e"), state(request).store, site(request).standings
    commits = store.commits

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        def standing(session: str) -> Standing:
            return standings.of(connection, session, commits)

        experiments, count = listing.experiments(connection, dataset_id, among, _EXPERIMENTS, standing)
        found, total = listing.examples(connection, dataset_id, search, number)
        return {
            "dataset": listing.dataset(connection, dataset_id),
            "experiments": experiments,
            "experiment_count": count,
            "experiment_pages": Pages(among, _EXPERIMENTS, count),
            "examples": found,
            "pages": Pages(number, listing.PAGE, total),
        }

    return page(request, "dataset.html", **await store.read(read), search=search)


async def example(request: Request) -> Response:
    """An example with its linked runs; `experiment` narrows them, and shows the version it saw."""
    example_id, parts = wanted(request), state(request)
    session = optional_uuid(request.query_params.get("experiment") or None, "experiment")

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        scope = read_scope(connection, session) if session else None
        shown = trace.read_example(connection, example_id, scope.version if scope else None)
        attached = ("example_attachments", "version", shown["version"])
        return {
            "example": shown,
            "scope": scope,
            "dataset": listing.dataset(connection, shown["dataset_id"]),
            "runs": trace.linked_runs(connection, example_id, session),
            "attachments": trace.read_attachments(connection, parts.signer, *attached),
        }

    return page(request, "example.html", **await parts.store.read(read))


async def project(request: Request) -> Response:
    """A session without dataset: its traces."""
    session, number = wanted(request), page_number(request)

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        scope = read_scope(connection, session)
        found, total = listing.roots(connection, session, number)
        return {"scope": scope, "runs": found, "pages": Pages(number, listing.PAGE, total)}

    found = await state(request).store.read(read)
    if found["scope"].dataset_id is not None:
        return RedirectResponse(f"/ui/experiments/{session}", 303, HEADERS)
    return page(request, "project.html", **found)
