"""A server that misbehaves on purpose, and what the SDK makes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from evalbackend.errors import ConfigError
from evalbackend.faults import FaultPlan, load
from evalbackend.wire.ingest import Batch, run_op
from tests.support.backend import (
    Backend,
    body,
    eventually,
    part,
    post,
    run_id,
    running,
)

RUNS = "POST /runs/multipart"
NOW = "2026-01-02T03:04:05+00:00"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("backend") / "store" / "backend.db") as served:
        yield served


@pytest.fixture
def backend(server: Backend) -> Iterator[Backend]:
    server.faults()
    yield server
    server.faults()


def sent(backend: Backend, session: str, run: str | None = None) -> int:
    return int(backend.multipart(body(post(run or run_id(), session))).status_code)


def test_429_with_retry_after_is_obeyed_by_the_sdk(backend: Backend) -> None:
    backend.faults({"match": RUNS, "action": "status", "status": 429, "retry_after": 1, "first_n": 1})
    began = time.monotonic()
    with backend.client() as client:
        run = run_id()
        more: dict[str, Any] = {
            "trace_id": run,
            "dotted_order": f"20260102T030405000006Z{run}",
            "project_name": "wait",
        }
        client.create_run("r", {}, "chain", id=run, **more)
        client.flush()
        eventually(lambda: list(backend.truth("wait")["runs"]), lambda ids: ids == [run])
    assert time.monotonic() - began > 0.9
    rule = backend.report()["rules"][0]
    assert (rule["fired"], rule["matched"] >= 2) == (1, True)
    backend.faults({"match": RUNS, "action": "status", "status": 429, "retry_after": 7})
    answer = backend.multipart(b"")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


def test_a_window_opens_and_closes(backend: Backend) -> None:
    backend.faults({"match": "* /runs*", "action": "status", "status": 503, "after_s": 0.2, "for_s": 0.3})
    assert sent(backend, "window") == 202
    eventually(lambda: sent(backend, "window"), lambda status: status == 503)
    assert backend.call("GET", "/info").status_code == 200
    eventually(lambda: sent(backend, "window"), lambda status: status == 202)


def test_only_what_carries_a_text_is_struck(backend: Backend) -> None:
    poison, other = run_id(), run_id()
    backend.faults({"match": RUNS, "action": "status", "status": 500, "carries": poison})
    assert sent(backend, "carries", other) == 202
    assert sent(backend, "carries", poison) == 500
    assert backend.multipart(body(post(run_id(), "carries"), post(poison, "carries"))).status_code == 500
    assert list(backend.truth("carries")["runs"]) == [other], "nothing of a struck request is kept"
    assert backend.report()["rules"][0]["fired"] == 2
    backend.faults()
    assert sent(backend, "carries", poison) == 202


def test_a_fraction_is_drawn_from_the_seed(backend: Backend) -> None:
    rule = {"match": RUNS, "action": "status", "status": 500, "fraction": 0.5}
    drawn = []
    for _ in range(2):
        backend.faults(rule, seed=3)
        drawn.append([sent(backend, "lots") for _ in range(20)])
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {202, 500}


@pytest.mark.parametrize(("action", "kept"), [("cut_before", 0), ("cut_after", 1)])
def test_a_cut_connection(backend: Backend, action: str, kept: int) -> None:
    backend.faults({"match": RUNS, "action": action, "first_n": 1})
    run = run_id()
    with pytest.raises(requests.ConnectionError):
        sent(backend, action, run)
    assert backend.truth(action)["counts"]["runs"] == kept
    assert sent(backend, action, run) == (409 if kept else 202)


@pytest.mark.parametrize("action", ["stall", "delay"])
def test_a_slow_answer(backend: Backend, action: str) -> None:
    backend.faults({"match": RUNS, "action": action, "seconds": 0.3})
    began = time.monotonic()
    assert sent(backend, action) == 202
    assert time.monotonic() - began > 0.29


def test_forgotten_traces_are_forgotten_whole_and_named(backend: Backend) -> None:
    backend.faults({"match": RUNS, "action": "forget", "fraction": 0.4}, seed=5)
    roots = [run_id() for _ in range(40)]
    children = {run_id(): root for root in roots}
    feedback = {run_id(): root for root in roots}
    for child, root in children.items():
        named = next(one for one, of in feedback.items() if of == root)
        nested = post(child, "forget", trace_id=root, parent_run_id=root)
        assert backend.multipart(body(nested)).status_code == 202
        score = part(f"feedback.{named}", {"id": named, "key": "k", "run_id": child, "trace_id": root})
        assert backend.multipart(body(post(root, "forget"), score)).status_code == 202
        assert backend.call("POST", "/feedback", json={"key": "late", "run_id": root}).status_code == 200
    forgotten = set(backend.report()["forgotten"])
    assert 5 < len(forgotten) < 30
    truth = backend.truth("forget")
    kept = set(roots) - forgotten
    assert {one for one, told in truth["runs"].items() if told["is_root"]} == kept
    assert {children[one] for one, told in truth["runs"].items() if not told["is_root"]} == kept
    assert {feedback[one] for one in truth["feedback"] if one in feedback} == kept
    assert len(truth["feedback"]) == 2 * len(kept)


def test_forgetting_is_decided_once_per_trace() -> None:
    now = [0.0]
    rule = {"match": RUNS, "action": "forget", "after_s": 5.0, "for_s": 5.0}
    plan = FaultPlan.from_document({"fault": [rule]}, "test")
    plan.clock = lambda: now[0]
    plan.arm()
    run = run_id()
    told: dict[str, Any] = {"name": "n", "run_type": "chain", "start_time": NOW}

    def passes(method: str) -> bool:
        batch = Batch(ops=[run_op("post", run, told)])
        plan.drop_forgotten(method, "/runs/multipart", batch)
        return bool(batch.ops)

    assert passes("POST")
    now[0] = 6.0
    assert not passes("POST")
    now[0] = 60.0
    assert not passes("PATCH")
    assert plan.forgotten == {run}


def test_a_plan_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text('seed = 1\n[[fault]]\nmatch = "GET /info"\naction = "status"\nstatus = 418\n')
    with running(tmp_path / "s" / "b.db", faults=file, admin_token=None) as backend:
        assert backend.call("GET", "/api/v1/info").status_code == 418
        admin = requests.get(f"{backend.url}/_admin/faults", headers={"x-admin-token": ""}, timeout=60)
        assert admin.status_code == 404


@pytest.mark.parametrize(
    "text",
    [
        "[[fault]\n",
        "what = 1",
        'conflict_mode = "some"',
        "ingest_window_hours = -1",
        "fault = 3",
        '[[fault]]\naction = "status"',
        '[[fault]]\nmatch = "*"\naction = "explode"',
        '[[fault]]\nmatch = "*"\naction = "stall"\nminutes = 1',
        '[[fault]]\nmatch = "*"\naction = "stall"\nseconds = "1"',
        '[[fault]]\nmatch = "*"\naction = "status"\nstatus = 99',
    ],
)
def test_plans_that_are_refused(tmp_path: Path, backend: Backend, text: str) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"plan\.toml"):
        load(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_late_runs_are_kept_and_not_seen_until_their_time(backend: Backend) -> None:
    late, prompt, again = run_id(), run_id(), run_id()
    assert sent(backend, "late", prompt) == 202
    backend.faults({"match": RUNS, "action": "late", "seconds": 1.5, "first_n": 3})
    assert sent(backend, "late", late) == 202
    assert backend.multipart(body(post(late, "late"), post(again, "late"))).status_code == 202
    assert backend.multipart(body(post(prompt, "late"), post(run_id(), "other"))).status_code == 202
    assert sent(backend, "late", late) == 409  # kept, so a repeat is known
    with backend.client() as client:
        project = client.read_project(project_name="late", include_stats=True)

        def seen() -> set[str]:
            asked = {"project_ids": [str(project.id)], "min_start_time": "2000-01-01"}
            newer = backend.call("POST", "/api/v2/runs/query", json=asked).json()["items"]
            older = backend.call("POST", "/runs/query", json={"session": [str(project.id)]}).json()["runs"]
            assert {run["id"] for run in older} >= {run["id"] for run in newer}
            return {run["id"] for run in newer}

        assert project.run_count == 1
        assert seen() == {prompt}
        assert backend.call("GET", f"/runs/{late}").status_code == 404
        truth = backend.truth("late")
        assert truth["runs"][late]["complete"] is True
        assert truth["runs"][late]["post"] == 3
        assert eventually(seen, lambda ids: len(ids) == 3) == {late, again, prompt}
    assert backend.report()["rules"][0]["fired"] == 3


def test_what_was_late_is_seen_after_a_restart(tmp_path: Path) -> None:
    run = run_id()
    with running(tmp_path / "late.db") as first:
        first.faults({"match": RUNS, "action": "late", "seconds": 1000})
        assert sent(first, "late", run) == 202
        assert first.call("GET", f"/runs/{run}").status_code == 404
    with running(tmp_path / "late.db") as second:
        assert second.call("GET", f"/runs/{run}").json()["id"] == run
