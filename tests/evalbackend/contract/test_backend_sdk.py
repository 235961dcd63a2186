"""What the unmodified SDK writes to the backend, it reads back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from langsmith import Client
from langsmith import utils as ls_utils
from langsmith.schemas import Dataset

from tests.support.backend import Backend, run_id, running

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("backend") / "store" / "backend.db") as served:
        yield served


def name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def filled(client: Client, count: int, **more: Any) -> Dataset:
    dataset = client.create_dataset(name("data"), description="numbers", metadata={"kind": "test"})
    rows = [{"inputs": {"x": i}, "reference_outputs": {"y": 2 * i}, **more} for i in range(count)]
    client.create_examples(dataset_id=dataset.id, examples=rows)
    return dataset


def test_examples_come_in_order_on_many_pages(backend: Backend) -> None:
    with backend.client() as client:
        dataset = filled(client, 250)
        assert [(e.inputs or {})["x"] for e in client.list_examples(dataset_id=dataset.id)] == list(
            range(250)
        )
        part = [
            (e.inputs or {})["x"] for e in client.list_examples(dataset_id=dataset.id, offset=100, limit=30)
        ]
        assert part == list(range(100, 130))


def test_splits_metadata_and_filters(backend: Backend) -> None:
    with backend.client() as client:
        dataset = filled(client, 2)
        client.create_example({"x": 9}, dataset_id=dataset.id, split=["hard", "odd"], metadata={"lang": "de"})
        listed = list(client.list_examples(dataset_id=dataset.id))
        assert [(e.metadata or {})["dataset_split"] for e in listed] == [["base"], ["base"], ["hard", "odd"]]

        def found(**how: Any) -> list[int]:
            return [(e.inputs or {})["x"] for e in client.list_examples(dataset_id=dataset.id, **how)]

        assert found(splits=["odd"]) == [9]
        assert found(splits=["base", "hard"]) == [0, 1, 9]
        assert found(metadata={"lang": "de"}) == [9]
        assert found(filter='and(exists(metadata, "lang"), not(has(metadata, \'{"lang": "fr"}\')))') == [9]
        assert found(example_ids=[listed[1].id]) == [1]
        with pytest.raises(ls_utils.LangSmithError, match="400"):
            found(filter="what(metadata")


def test_versions(backend: Backend) -> None:
    with backend.client() as client:
        dataset = filled(client, 2)
        first = list(client.list_examples(dataset_id=dataset.id))
        client.create_example({"x": 2}, dataset_name=dataset.name)
        client.update_example(first[0].id, inputs={"x": 100}, split="new")
        client.delete_example(first[1].id)
        now = list(client.list_examples(dataset_id=dataset.id))
        assert [(e.inputs or {})["x"] for e in now] == [100, 2]
        assert (now[0].outputs, (now[0].metadata or {})["dataset_split"]) == ({"y": 0}, ["new"])
        stamps: list[Any] = [e.modified_at for e in (*first, *now)]
        assert stamps[0] == stamps[1]
        assert stamps[1] < stamps[3] < stamps[2]
        then = list(client.list_examples(dataset_id=dataset.id, as_of=first[0].modified_at))
        assert [(e.inputs, e.outputs) for e in then] == [(e.inputs, e.outputs) for e in first]
        assert len(list(client.list_examples(dataset_id=dataset.id, as_of="latest"))) == 2
        assert client.read_example(first[1].id, as_of=first[1].modified_at).inputs == {"x": 1}
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            client.read_example(first[1].id)


def test_a_single_run_with_a_file(backend: Backend) -> None:
    with backend.client() as client:
        run, project = uuid.uuid4(), name("p")
        more: dict[str, Any] = {"trace_id": run, "dotted_order": f"{NOW.strftime('%Y%m%dT%H%M%S%fZ')}{run}"}
        usage = {
            "input_tokens": 3,
            "output_tokens": 4,
            "total_tokens": 7,
            "input_token_details": {"cache_read": 1},
        }
        client.create_run(
            "r", {"q": 1}, "llm", id=run, project_name=project, start_time=NOW, tags=["t"],
            extra={"metadata": {"m": 1}}, attachments={"f": ("text/plain", b"hello")}, **more,
        )  # fmt: skip
        client.update_run(run, outputs={"usage_metadata": usage}, end_time=NOW, **more)
        client.flush()
        read = client.read_run(run)
        assert (read.inputs, read.start_time, read.tags, read.status) == ({"q": 1}, NOW, ["t"], "success")
        assert (read.prompt_tokens, read.completion_tokens, read.total_tokens) == (3, 4, 7)
        assert read.prompt_token_details == {"cache_read": 1}
        assert read.metadata["m"] == 1
        listed = next(client.list_runs(project_name=project))
        assert listed.attachments["f"]["reader"].read() == b"hello"
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            client.read_run(uuid.uuid4())


def test_runs_without_a_trace_go_one_by_one(backend: Backend) -> None:
    with backend.client(auto_batch_tracing=False) as client:
        root, child, project = run_id(), run_id(), name("p")
        client.create_run("root", {}, "chain", id=root, project_name=project, start_time=NOW)
        client.create_run(
            "child", {}, "tool", id=child, parent_run_id=root, project_name=project, start_time=NOW
        )
        client.update_run(root, outputs={"a": 1}, end_time=NOW)
        whole = client.read_run(root, load_child_runs=True)
        assert (str(whole.trace_id), whole.outputs, whole.status) == (root, {"a": 1}, "success")
        assert [(c.name, c.status, str(c.trace_id)) for c in whole.child_runs or []] == [
            ("child", "pending", root)
        ]


@pytest.mark.parametrize("limit", [None, 1, 100, 101, 500])
def test_any_limit_of_list_runs(backend: Backend, limit: int | None) -> None:
    with backend.client() as client:
        project = name("many")
        now = NOW.strftime("%Y%m%dT%H%M%S%fZ")
        ids = [run_id() for _ in range(250)]
        runs = [
            {"id": one, "trace_id": one, "dotted_order": now + one, "name": "r", "run_type": "chain",
             "start_time": NOW.isoformat(), "session_name": project, "inputs": {}}
            for one in ids
        ]  # fmt: skip
        client.multipart_ingest(create=runs)
        read = [str(run.id) for run in client.list_runs(project_name=project, limit=limit)]
        assert len(read) == len(set(read)) == min(limit or 250, 250)
        if limit is None:
            assert set(read) == set(ids)
            some = list(client.list_runs(project_name=project, run_ids=ids[:7], select=["id"]))
            assert {str(run.id) for run in some} == set(ids[:7])


def test_feedback(backend: Backend) -> None:
    with backend.client() as client:
        project, run = client.create_project(name("p")), uuid.uuid4()
        made = client.create_feedback(
            run, "early", score=True, comment="before its run", session_id=project.id
        )
        assert [(f.key, f.score) for f in client.list_feedback(run_ids=[run])] == [("early", True)]
        client.create_feedback(None, "whole", score=3, project_id=project.id)
        stats = client.read_project(project_id=str(project.id), include_stats=True)
        assert (stats.feedback_stats or {})["early"]["avg"] == 1
        assert (stats.session_feedback_stats or {})["whole"]["n"] == 1
        client.delete_feedback(made.id)
        assert list(client.list_feedback(run_ids=[run])) == []
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            client.delete_feedback(made.id)
