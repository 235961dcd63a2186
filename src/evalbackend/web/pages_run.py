"""A run in its trace, and what of it is too long for a page of several parts."""

from __future__ import annotations

import sqlite3
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from evalbackend.errors import HttpError
from evalbackend.http.state import state
from evalbackend.store.scope import Scope, read_scope
from evalbackend.web import text, trace, tree
from evalbackend.web.paging import wanted
from evalbackend.web.plots import ticks
from evalbackend.web.render import HEADERS, page

_PARTS = ("inputs", "outputs", "error", "extra", "events", "serialized")


async def run(request: Request) -> Response:
    """A trace as tree and timeline, and the run that is looked at."""
    run_id, parts = wanted(request), state(request)

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        shown = trace.read_run(connection, run_id)
        nodes, total, span = tree.read_tree(connection, shown["trace_id"])
        return {
            "run": shown,
            "nodes": nodes,
            "total": total,
            "span": span,
            "ticks": [(f"{100 * at / span:.2f}%", text.tick_seconds(at)) for at in ticks(0.0, span)],
            "scope": _scope(connection, shown["session_id"]),
            "parts": trace.read_parts(connection, run_id),
            "scores": trace.read_scores(connection, [run_id]).get(run_id, []),
            "attachments": trace.read_attachments(
                connection, parts.signer, "run_attachments", "run_id", run_id
            ),
        }

    return page(request, "run.html", **await parts.store.read(read), whole=text.WHOLE, most=tree.MOST)


def _scope(connection: sqlite3.Connection, session: str | None) -> Scope | None:
    try:
        return read_scope(connection, session) if session else None
    except HttpError:
        return None  # the run is there, its session is gone


async def part(request: Request) -> Response:
    """One document of a run, whole."""
    run_id, name = wanted(request), request.path_params["part"]
    if name not in _PARTS:
        raise HttpError(404, "there is no such part of a run")

    def read(connection: sqlite3.Connection) -> tuple[dict[str, Any], str]:
        raw = trace.read_part(connection, run_id, name)
        whole = text.plain(raw) if isinstance(raw, str) else text.whole(raw)
        return trace.read_run(connection, run_id), whole

    shown, body = await state(request).store.read(read)
    return page(request, "part.html", run=shown, part=name, body=body)


async def sdk_link(request: Request) -> Response:
    """Lead from the addresses that the SDK prints to the pages."""
    kind, rest = request.path_params["kind"], request.path_params["rest"].split("/")
    chosen = request.query_params.get("selectedSessions", "").split(",")
    if kind == "datasets" and len(chosen) > 1:
        return _to(f"/ui/compare?a={chosen[0]}&b={chosen[1]}")
    if kind == "datasets":
        return _to(f"/ui/experiments/{chosen[0]}" if chosen[0] else f"/ui/datasets/{rest[0]}")
    if rest[0] == "p" and len(rest) > 1:
        return _to(f"/ui/runs/{rest[3]}" if len(rest) > 3 and rest[2] == "r" else f"/ui/projects/{rest[1]}")
    raise HttpError(404, "there is no such page")


def _to(address: str) -> Response:
    return RedirectResponse(address, 303, HEADERS)
