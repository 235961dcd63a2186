"""A read-only server: shows everything, takes in nothing, leaves nothing behind, and sees its writer's commits."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from langsmith.utils import LangSmithError
from starlette.routing import Route

from evalbackend import web
from evalbackend.app import create_app
from evalbackend.errors import StoreError
from evalbackend.http.operation import Operation
from evalbackend.http.read_only import only_reads
from evalbackend.store.migrate import SCHEMA_VERSION
from evalbackend.store.read_only import READ_ONLY, ReadOnlyStore
from evalbackend.web.door import sign_in_path
from evalbackend.web.pages_sign_in import sign_out
from tests.support.backend import (
    ADMIN,
    TOKEN,
    Backend,
    Process,
    body,
    eventually,
    part,
    post,
    run_id,
    running,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")

ID = "0c0ffee0-0000-4000-8000-000000000001"
WRITING_GETS = {"GET /feedback/tokens/{token}"}  # a link in a mail that gives feedback


class Filled:
    """A store with an experiment of two runs, one of them with feedback."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with running(path) as backend, backend.client() as client:
            dataset = client.create_dataset("sums")
            self.dataset = str(dataset.id)
            self.examples = [str(client.create_example({"x": x}, dataset_id=dataset.id).id) for x in (1, 2)]
            project = client.create_project("first", reference_dataset_id=dataset.id)
            self.project = str(project.id)
            self.runs = [run_id() for _ in self.examples]
            for run, example in zip(self.runs, self.examples, strict=True):
                give(backend, run, example)

    def facts(self) -> dict[str, Any]:
        """Return everything that a trace could be left in."""
        return {one.name: (one.stat().st_mtime_ns, one.read_bytes()) for one in self.path.parent.iterdir()}


def give(backend: Backend, run: str, example: str) -> None:
    score = part(f"feedback.{run_id()}", {"key": "right", "run_id": run, "trace_id": run, "score": 1})
    raw = body(post(run, "first", reference_example_id=example, outputs={"y": 1}), score)
    assert backend.multipart(raw).status_code == 202


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled(tmp_path / "store" / "backend.db")


@pytest.fixture
def served(filled: Filled) -> Iterator[Backend]:
    with running(filled.path, read_only=True) as backend:
        yield backend


def every_route(tmp_path: Path) -> list[Route]:
    """Return every route that a server can have, those for tests included."""
    app = create_app(tmp_path / "other.sqlite", TOKEN, admin_token=ADMIN)
    app.state.state.store.close()
    assert all(isinstance(route, Route) for route in app.routes)
    return [route for route in app.routes if isinstance(route, Route)]


def test_every_operation_is_either_known_to_read_or_refused(
    filled: Filled, served: Backend, tmp_path: Path
) -> None:
    routes, pages = every_route(tmp_path), {route.path for route in web.routes}
    everything = [(method, route.path) for route in routes for method in sorted(route.methods or set())]
    reads = {route.address for route in routes if isinstance(route, Operation) and route.reads}
    named = {f"{method} {path}" for method, path in everything}
    writing = {one for one in named - reads if one.startswith("GET ") and one.split()[1] not in pages}
    assert writing == WRITING_GETS
    asking = {one for one in named if re.search("^POST .*/(query|stats|export|experiment-runs)$", one)}
    assert asking <= reads
    before, refused = filled.facts(), set()
    for method, path in everything:
        address = re.sub(r"{\w+}", ID, path.replace("{index:int}", "0").replace("{rest:path}", "x"))
        answer = served.call(
            method, address, json={} if method != "GET" else None, headers={"x-admin-token": ADMIN}
        )
        told = answer.headers["content-type"] == "application/json" and method != "HEAD"
        if answer.status_code == 403 and (not told or answer.json() == {"detail": READ_ONLY}):
            refused.add(f"{method} {path}")
        assert answer.status_code < 500, (method, path, answer.text)
    heads = {one for one in named if one.startswith("HEAD ")}
    assert refused - heads == {one for one in named - reads - heads if one.split()[1] not in pages}
    assert {one.replace("HEAD", "GET") for one in refused & heads} == WRITING_GETS | {
        "GET /attachments/{sha}"
    }
    assert filled.facts() == before


def test_an_operation_that_does_not_say_that_it_reads_is_refused() -> None:
    given = [
        Operation("GET /new", sign_out, "of nobody knows what"),
        Operation("GET /info", sign_out, "of what is there", reads=True),
        Route("/page", sign_out),
    ]
    routes = only_reads(given)
    kept = [(r.path, r.methods) for r in routes if isinstance(r, Route) and r.endpoint is sign_out]
    assert kept == [("/info", {"GET", "HEAD"})]
    assert [r.methods for r in routes if isinstance(r, Route)] == [{"GET", "HEAD"}] * 3


def test_its_document_tells_of_what_it_refuses_too(served: Backend) -> None:
    told = served.call("GET", "/openapi.json").json()["paths"]
    assert {"get", "post"} <= set(told["/sessions"])


def test_the_sdk_reads_everything(filled: Filled, served: Backend) -> None:
    with served.client() as client:
        assert [str(one.id) for one in client.list_datasets()] == [filled.dataset]
        assert {str(one.id) for one in client.list_examples(dataset_id=filled.dataset)} == set(
            filled.examples
        )
        assert {str(one.id) for one in client.list_runs(project_name="first")} == set(filled.runs)
        assert client.get_run_stats(project_ids=[filled.project])["run_count"] == 2
        assert len(list(client.list_feedback(run_ids=filled.runs))) == 2
        results = client.get_experiment_results(name="first")
        assert {str(row.id) for row in results["examples_with_runs"]} == set(filled.examples)
        assert client.read_project(project_name="first", include_stats=True).run_count == 2
    asked: dict[str, Any] = {"project_ids": [filled.project], "min_start_time": "2026-01-01T00:00:00Z"}
    told = served.call("POST", "/api/v2/runs/query", json=asked).json()
    assert {run["id"] for run in told["items"]} == set(filled.runs)
    asked = {"experiment_ids": [filled.project]}
    path = f"/api/v2/datasets/{filled.dataset}/experiment-runs"
    assert len(served.call("POST", path, json=asked).json()["items"]) == 2


def test_the_sdk_says_why_nothing_is_taken_in(
    filled: Filled, served: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    with served.client() as client:
        with pytest.raises(LangSmithError, match="this server is read-only"):
            client.create_project("second")
        with pytest.raises(LangSmithError, match="this server is read-only"):
            client.create_example({"x": 3}, dataset_id=filled.dataset)
        with pytest.raises(LangSmithError, match="this server is read-only"):
            client.delete_dataset(dataset_id=filled.dataset)
        with caplog.at_level(logging.WARNING, logger="langsmith"):
            order = f"20260102T030405000006Z{(one := uuid4())}"
            client.create_run(
                "r", {}, "chain", id=one, trace_id=one, dotted_order=order, project_name="first"
            )
            client.flush()
        assert "this server is read-only" in caplog.text
        assert len(list(client.list_runs(project_name="first"))) == 2


def test_a_large_body_is_answered_too(served: Backend) -> None:
    answer = served.multipart(bytes(30 * 2**20))
    assert (answer.status_code, answer.json()) == (403, {"detail": READ_ONLY})


def test_nothing_is_told_without_the_key(served: Backend) -> None:
    assert requests.post(f"{served.url}/sessions", json={}, timeout=60).status_code == 401
    assert requests.post(f"{served.url}/runs/query", json={}, timeout=60).status_code == 401


def test_the_pages_leave_nothing_behind(filled: Filled) -> None:
    before = filled.facts()
    with running(filled.path, read_only=True) as backend, requests.Session() as visitor:
        answer = visitor.get(backend.url + sign_in_path(TOKEN), timeout=60)
        assert (answer.status_code, answer.url) == (200, f"{backend.url}/ui/")
        assert "first" in visitor.get(f"{backend.url}/ui/experiments/{filled.project}", timeout=60).text
        assert visitor.get(f"{backend.url}/ui/runs/{filled.runs[0]}", timeout=60).status_code == 200
        assert filled.facts() == before
        assert visitor.post(f"{backend.url}/logout", timeout=60).status_code == 200
        typed = {"token": TOKEN}
        assert visitor.post(f"{backend.url}/login", data=typed, timeout=60).url == f"{backend.url}/ui/"
    assert filled.facts() == before


def contains(wanted: str, text: str) -> bool:
    return wanted in text


def test_it_shows_what_a_writer_commits(filled: Filled) -> None:
    with running(filled.path, read_only=True, token="the-reader") as reader, requests.Session() as visitor:
        visitor.get(reader.url + sign_in_path("the-reader"), timeout=60)
        headers = {"x-api-key": "the-reader"}
        asked = {"session": [filled.project], "select": ["id"]}

        def listed() -> set[str]:
            rows = reader.call("POST", "/runs/query", json=asked, headers=headers).json()["runs"]
            return {row["id"] for row in rows}

        def page() -> str:
            return visitor.get(f"{reader.url}/ui/experiments/{filled.project}", timeout=60).text

        for _ in range(2):  # a writer comes, and goes, and comes again
            with running(filled.path) as writer:
                visitor.get(writer.url + sign_in_path(TOKEN), timeout=60)
                for _ in range(3):
                    known, run, key = listed(), run_id(), f"key-{run_id()}"
                    assert key not in page()
                    give(writer, run, filled.examples[0])
                    score = {"run_id": filled.runs[1], "key": key, "score": 1}
                    assert writer.call("POST", "/feedback", json=score).status_code == 200
                    assert listed() == known | {run}
                    # A digest is used for twice the time that it took to make.
                    eventually(page, partial(contains, key))
                answer = visitor.get(f"{writer.url}/ui/", timeout=60)
                assert answer.status_code == 200, "signing in to the one signs out of the other"
            log = filled.path.with_name(f"{filled.path.name}-wal")
            assert not log.exists() or log.stat().st_size == 0, "the writer folds its log in beside a reader"
        assert run in listed()


def test_it_shows_what_a_killed_writer_had_committed(filled: Filled) -> None:
    writer, run = Process(filled.path), run_id()
    give(writer.backend, run, filled.examples[0])
    writer.kill()
    with running(filled.path, read_only=True) as reader:
        assert reader.call("GET", f"/runs/{run}").status_code == 200
        again = Process(filled.path)
        try:
            give(again.backend, run_id(), filled.examples[0])
            assert (
                len(reader.call("POST", "/runs/query", json={"session": [filled.project]}).json()["runs"])
                == 4
            )
        finally:
            assert again.terminate() == 0


def test_a_file_and_a_folder_that_cannot_be_written(filled: Filled) -> None:
    filled.path.with_name(f"{filled.path.name}.lock").unlink()
    filled.path.chmod(0o400)
    filled.path.parent.chmod(0o500)
    try:
        with running(filled.path, read_only=True) as backend:
            assert backend.call("GET", f"/runs/{filled.runs[0]}").status_code == 200
        assert [one.name for one in filled.path.parent.iterdir()] == [filled.path.name]
    finally:
        filled.path.parent.chmod(0o700)


def test_a_store_that_goes_away_is_said_to(filled: Filled, served: Backend) -> None:
    away = filled.path.rename(filled.path.with_name("away"))
    answer = served.call("GET", "/datasets")
    assert (answer.status_code, "cannot be read now" in answer.json()["detail"]) == (503, True)
    away.rename(filled.path)
    assert served.call("GET", "/datasets").status_code == 200


def test_the_switches_for_tests_work_and_leave_the_store_alone(filled: Filled, served: Backend) -> None:
    before = filled.facts()
    assert served.truth("first")["counts"]["complete"] == 2
    served.faults({"match": "POST /runs/query", "action": "status", "status": 429, "first_n": 1})
    asked = {"session": [filled.project]}
    assert [served.call("POST", "/runs/query", json=asked).status_code for _ in range(2)] == [429, 200]
    served.faults({"match": "POST /runs/multipart", "action": "forget"})
    assert served.multipart(body(post(run_id(), "first"))).status_code == 403
    assert filled.facts() == before


def changed(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def test_stores_that_cannot_be_shown(filled: Filled, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no store at .*none\.sqlite: without --read-only"):
        ReadOnlyStore(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()
    with pytest.raises(StoreError, match="there is no store at"):
        ReadOnlyStore(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(StoreError, match="holds no store"):
        ReadOnlyStore(tmp_path / "empty")
    (tmp_path / "text").write_text("no database, but long enough to be one, if it were one" * 100)
    with pytest.raises(StoreError, match="is damaged"):
        ReadOnlyStore(tmp_path / "text")
    changed(filled.path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match="update evalrunner"):
        ReadOnlyStore(filled.path)
    changed(filled.path, f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
    before = filled.facts()
    with pytest.raises(StoreError, match="serve it once without --read-only, which brings it forward"):
        ReadOnlyStore(filled.path)
    assert filled.facts() == before
