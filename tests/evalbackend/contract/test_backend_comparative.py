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
from langsmith import Client, evaluate
from langsmith.evaluation import evaluate_comparative
from langsmith.schemas import Example, Run

from evalbackend.store.db import Store
from evalbackend.store.migrate import MIGRATIONS
from tests.support.backend import Backend, body, eventually, part, post, run_id, running

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")

NOBODY = "00000000-0000-4000-8000-000000000000"


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
        old.executescript(resources.files("evalbackend.store").joinpath(script).read_text("utf-8"))
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


def test_examples_are_chosen_by_what_their_runs_are_like(backend: Backend) -> None:
    with backend.client() as client:
        dataset, projects, said = compared(client)
        first, second = (str(project.id) for project in projects)
        eventually(
            lambda: backend.call("GET", f"/datasets/comparative/{said.comparative_experiment.id}").json(),
            lambda told: told["feedback_stats"].get("larger", {}).get("n") == 6,
        )

        def shown(asked: dict[str, list[str]]) -> list[int]:
            told = {"filters": asked}
            both = {"session_ids": [first, second], **told}
            older = backend.call("POST", f"/datasets/{dataset.id}/runs", json=both).json()
            later = backend.call(
                "POST",
                f"/api/v2/datasets/{dataset.id}/experiment-runs",
                json={"experiment_ids": [first, second], **told},
            ).json()["items"]
            assert [one["id"] for one in older] == [one["id"] for one in later]
            assert all(len(one["runs"]) == 2 for one in [*older, *later])
            return [one["inputs"]["x"] for one in older]

        assert shown({}) == [0, 1, 2]
        assert shown({first: ['and(eq(feedback_key, "larger"), eq(feedback_score, 1))']}) == [0]
        assert shown(
            {second: ['eq(output_key, "y")', 'and(eq(output_key, "y"), gte(output_value, "2"))']}
        ) == [1, 2]
        assert shown({first: ['eq(status, "error")']}) == []
        results = client.get_experiment_results(
            project_id=projects[0].id, filters={projects[0].id: ["has(outputs, '{\"y\": 2}')"]}
        )
        assert [row.inputs for row in results["examples_with_runs"]] == [{"x": 2}]


def test_feedback_of_other_comparisons_is_left_out(backend: Backend) -> None:
    with backend.client() as client:
        dataset, projects, said = compared(client)
        session, mine = str(projects[0].id), str(said.comparative_experiment.id)
        told = {"experiment_ids": [session], "reference_dataset_id": str(dataset.id), "name": "another"}
        other = backend.call("POST", "/datasets/comparative", json=told).json()["id"]
        eventually(
            lambda: backend.call("GET", f"/datasets/comparative/{mine}").json(),
            lambda found: found["feedback_stats"].get("larger", {}).get("n") == 6,
        )

        def asked(comparison: str | None, status: int = 200) -> Any:
            scope = {"comparative_experiment_id": comparison}
            older = backend.call(
                "POST", f"/datasets/{dataset.id}/runs", json={"session_ids": [session], **scope}
            )
            later = backend.call(
                "POST",
                f"/api/v2/datasets/{dataset.id}/experiment-runs",
                json={"experiment_ids": [session], "selects": ["FEEDBACK_STATS"], **scope},
            )
            assert (older.status_code, later.status_code) == (status, status)
            return (older.json(), later.json()["items"]) if status == 200 else None

        for comparison, keys in ((None, {"larger"}), (mine, {"larger"}), (other, set())):
            for page in asked(comparison):
                assert [set(row["runs"][0]["feedback_stats"] or {}) for row in page] == [keys] * 3
        asked(str(uuid.uuid4()), status=404)


@pytest.mark.parametrize("filters", [[], {"x": []}, {NOBODY: [1]}, {NOBODY: ["eq("]}])
def test_filters_that_are_none_are_refused(backend: Backend, filters: Any) -> None:
    with backend.client() as client:
        dataset = client.create_dataset(f"data-{uuid.uuid4().hex[:8]}")
    for path, ids in (
        (f"/datasets/{dataset.id}/runs", "session_ids"),
        (f"/api/v2/datasets/{dataset.id}/experiment-runs", "experiment_ids"),
    ):
        told = backend.call("POST", path, json={ids: [str(uuid.uuid4())], "filters": filters})
        assert told.status_code in (400, 422), told.text
