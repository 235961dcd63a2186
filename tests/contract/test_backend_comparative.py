"""Comparative experiments end to end, in both generations of reads, and sums over runs."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
import pytest
from backend_fixtures import Backend, body, eventually, part, post, run_id, running  # type: ignore[import-not-found]
from langsmith import Client, evaluate
from langsmith.evaluation import evaluate_comparative
from langsmith.schemas import Example, Run

from evalrunner.backend.store.db import Store
from evalrunner.backend.store.migrate import MIGRATIONS

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")


@pytest.fixture(scope="module", params=[True, False], ids=["older reads", "v2 reads"])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    flags = {"ch_query_enabled": request.param, "sdb_query_enabled": not request.param}
    with running(tmp_path_factory.mktemp("comparative") / "backend.db", flags=flags) as served:
        yield served


def compared(client: Client) -> tuple[Any, list[Any], Any]:
    """A dataset, two experiments over it, and what evaluate_comparative says of them."""
    dataset = client.create_dataset(f"data-{uuid.uuid4().hex[:8]}")
    client.create_examples(dataset_id=dataset.id, examples=[{"inputs": {"x": i}} for i in range(3)])
    projects = []
    for factor in (1, 2):
        results = evaluate(
            lambda inputs, by=factor: {"y": by * inputs["x"]},
            data=dataset.name,
            client=client,
            max_concurrency=0,
        )
        projects.append(client.read_project(project_name=results.experiment_name))
    client.flush()

    def larger(runs: Sequence[Run], example: Example | None) -> dict[str, Any]:
        top = max(_y(run) for run in runs)
        return {"key": "larger", "scores": {run.id: int(_y(run) == top) for run in runs}}

    said = evaluate_comparative(
        tuple(project.id for project in projects),
        evaluators=[larger],
        client=client,
        metadata={"why": "test"},
    )
    return dataset, projects, said


def _y(run: Run) -> int:
    return int((run.outputs or {})["y"])


def test_two_experiments_are_compared(backend: Backend) -> None:
    with backend.client() as client:
        dataset, projects, said = compared(client)
        path = f"/datasets/{dataset.id}/comparative"
        (told,) = eventually(
            lambda: backend.call("GET", path).json(),
            lambda found: found[0]["feedback_stats"].get("larger", {}).get("n") == 6,
        )
        assert told["id"] == str(said.comparative_experiment.id)
        assert told["extra"] == {"metadata": {"why": "test"}}
        assert [one["id"] for one in told["experiments_info"]] == [str(project.id) for project in projects]
        assert [one["name"] for one in told["experiments_info"]] == [project.name for project in projects]
        assert told["feedback_stats"]["larger"]["avg"] == pytest.approx(4 / 6)  # 0, 1, 2 against 0, 2, 4
        feedback = list(client.list_feedback(feedback_key=["larger"], session=[str(projects[0].id)]))
        assert {one.comparative_experiment_id for one in feedback} == {said.comparative_experiment.id}
        assert len({one.feedback_group_id for one in feedback}) == 3
        assert sorted(one.score for one in feedback) == [0, 0, 1]
        assert backend.call("GET", f"{path}?name_contains=nothing").json() == []
        assert len(backend.call("GET", f"{path}?name={said.comparative_experiment.name}").json()) == 1
        client.delete_dataset(dataset_id=dataset.id)
        assert backend.call("GET", path).json() == []


def test_a_comparison_is_read_refused_and_deleted(backend: Backend) -> None:
    with backend.client() as client:
        dataset = client.create_dataset(f"data-{uuid.uuid4().hex[:8]}")
        project = client.create_project(f"p-{uuid.uuid4().hex[:8]}", reference_dataset_id=dataset.id)
        free = client.create_project(f"p-{uuid.uuid4().hex[:8]}")
        asked = {"experiment_ids": [str(project.id)], "reference_dataset_id": str(dataset.id), "name": "one"}

        def create(**more: Any) -> int:
            return int(backend.call("POST", "/datasets/comparative", json={**asked, **more}).status_code)

        made = backend.call("POST", "/datasets/comparative", json=asked).json()
        assert backend.call("GET", f"/datasets/comparative/{made['id']}").json()["name"] == "one"
        assert create(id=made["id"]) == 409
        assert create(experiment_ids=[]) == 422
        assert create(experiment_ids=[run_id()]) == 404
        assert create(experiment_ids=[str(free.id)]) == 422
        assert backend.call("DELETE", f"/datasets/comparative/{made['id']}").status_code == 200
        assert backend.call("GET", f"/datasets/comparative/{made['id']}").status_code == 404
        assert backend.call("DELETE", f"/datasets/comparative/{made['id']}").status_code == 404


def test_runs_are_summed_up(backend: Backend) -> None:
    session, runs = f"stats-{uuid.uuid4().hex[:8]}", [run_id() for _ in range(4)]
    usage = {"usage_metadata": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "total_cost": 0.5}}
    ends = ["2026-01-02T03:04:06.000006+00:00", "2026-01-02T03:04:07.000006+00:00", None, None]
    backend.multipart(body(
        *(post(run, session, end_time=end, outputs=usage) for run, end in zip(runs, ends, strict=True)),
        post(run_id(), session, error="oh"),
        part(f"feedback.{run_id()}", {"run_id": runs[0], "trace_id": runs[0], "key": "good", "score": 1}),
        part(f"feedback.{run_id()}", {"run_id": runs[3], "trace_id": runs[3], "key": "good", "score": 0}),
    ))  # fmt: skip
    with backend.client() as client:
        told = client.get_run_stats(project_names=[session])
        assert (told["run_count"], told["error_rate"], told["total_tokens"]) == (5, 0.2, 12)
        assert told["total_cost"] == 2
        assert told["latency_p50"] == pytest.approx(1, abs=0.001)
        assert (told["feedback_stats"]["good"]["n"], told["feedback_stats"]["good"]["avg"]) == (2, 0.5)
        few = client.get_run_stats(project_names=[session], filter='eq(status, "pending")')
        assert (few["run_count"], few["latency_p50"], few["feedback_stats"]["good"]["n"]) == (2, None, 1)
        assert client.get_run_stats(project_names=[session], query="no such words")["run_count"] == 0


def test_an_older_store_brings_its_comparisons_along(tmp_path: Path) -> None:
    comparison, path = run_id(), tmp_path / "old.db"
    scripts = ["schema.sql", *(MIGRATIONS[version] for version in range(1, 4))]
    old = sqlite3.connect(path)
    for script in scripts:
        old.executescript(resources.files("evalrunner.backend.store").joinpath(script).read_text("utf-8"))
    told = {"key": "larger", "score": 1, "comparative_experiment_id": comparison}
    for number, document in enumerate((told, {"key": "good", "score": 1})):
        old.execute(
            "INSERT INTO feedback (id, run_id, key, score, created_at, body) VALUES (?, ?, ?, 1, '2026', ?)",
            (str(number), run_id(), document["key"], orjson.dumps(document)),
        )
    old.executemany("INSERT INTO meta VALUES (?, ?)", [("tenant_id", run_id()), ("url_secret", "00")])
    old.execute("PRAGMA user_version = 4")
    old.commit()
    old.close()
    Store(path).close()
    new = sqlite3.connect(path)
    rows = new.execute("SELECT key, comparative_experiment_id FROM feedback ORDER BY id").fetchall()
    new.close()
    assert rows == [("larger", comparison), ("good", None)]
