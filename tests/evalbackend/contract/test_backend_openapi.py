"""The OpenAPI document tells of every route that clients call, and hostile values bring no 5xx."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from starlette.routing import Match

from evalbackend import web
from evalbackend.app import create_app
from evalbackend.http.openapi import operations
from tests.support.backend import running

FUZZ = Path(__file__).resolve().parents[3] / "scripts" / "chaos" / "fuzz.py"


def test_every_route_is_a_page_or_says_what_it_is(tmp_path: Path) -> None:
    app = create_app(tmp_path / "store.sqlite", "a-token", admin_token="another")
    try:
        named = operations(app.routes)
        assert len(named) > 100
        assert all(one.summary for one in named)
        assert len({one.address for one in named}) == len(named)
        assert [route for route in app.routes if route not in named] == web.routes
    finally:
        app.state.site.close()
        app.state.state.store.close()


def test_no_parameter_takes_what_another_route_has_as_a_word(tmp_path: Path) -> None:
    app = create_app(tmp_path / "store.sqlite", "a-token", admin_token="another")
    try:
        named = operations(app.routes)
        for one in (each for each in named if "{" not in each.path):
            scope = {"type": "http", "path": one.path, "method": one.method, "headers": []}
            found = next(route for route in named if route.matches(scope)[0] is Match.FULL)
            assert found is one, (one.address, found.address)
    finally:
        app.state.site.close()
        app.state.state.store.close()


def test_the_document_is_served_under_every_prefix(tmp_path: Path) -> None:
    with running(tmp_path / "store.sqlite") as backend:
        documents = [
            backend.call("GET", f"{prefix}/openapi.json") for prefix in ("", "/api/v1", "/api", "/v1")
        ]
    assert {answer.status_code for answer in documents} == {200}
    told = documents[0].json()
    assert told["openapi"].startswith("3.1")
    query = told["paths"]["/runs/query"]["post"]
    assert query["requestBody"]["content"]["application/json"]["schema"]["properties"]["filter"]
    index = told["paths"]["/annotation-queues/{id}/run/{index}"]["get"]["parameters"]
    assert [(one["name"], one["in"], one["required"]) for one in index] == [
        ("id", "path", True),
        ("index", "path", True),
    ]


def test_hostile_values_bring_no_5xx(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(FUZZ), "--examples", "600"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    assert "no 5xx; integrity_check ok" in done.stdout
