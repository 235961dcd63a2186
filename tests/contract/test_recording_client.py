"""The recording client in a real evaluation against a real server: all is recorded, nothing is sent."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import orjson
import pytest
from langsmith import Client, aevaluate, traceable
from langsmith.evaluation import EvaluationResult, EvaluationResults
from langsmith.schemas import Dataset, Run, TracerSession

from evalrunner.delivery.capture.items import CURRENT
from evalrunner.delivery.capture.sdk import RecordingClient, mark_traceable
from evalrunner.delivery.capture.traces import TraceBook
from evalrunner.delivery.spool.record import Operation
from evalrunner.protocol.ids import failure_id, feedback_id
from tests.support.backend import TOKEN, Backend, Process


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    process = Process(tmp_path_factory.mktemp("backend") / "backend.db")
    yield process.backend
    assert process.terminate() == 0


@pytest.fixture
def plain(backend: Backend) -> Iterator[Client]:
    with backend.client() as client:
        yield client


@pytest.fixture
def dataset(plain: Client) -> Dataset:
    made = plain.create_dataset(f"data-{uuid.uuid4().hex[:8]}")
    rows = [{"inputs": {"x": i}, "outputs": {"y": 2 * i}} for i in range(4)]
    plain.create_examples(dataset_id=made.id, examples=rows)
    return made


@pytest.fixture
def experiment(plain: Client, dataset: Dataset) -> TracerSession:
    return plain.create_project(
        f"experiment-{uuid.uuid4().hex[:8]}", reference_dataset_id=dataset.id, metadata={"mine": 1}
    )


class Collected:
    """What a recording client was given, by kind."""

    def __init__(self, backend: Backend, experiment: TracerSession | None = None) -> None:
        self.operations: list[Operation] = []
        self.book = TraceBook(self.operations.extend)
        self.client = RecordingClient(
            self.book, experiment, api_url=backend.url, api_key=TOKEN, tracing_sampling_rate=1.0
        )

    def of(self, kind: str) -> list[dict[str, Any]]:
        found = []
        for made, op_id, parts in self.operations:
            if made == kind:
                main, *rest = parts
                big = {name.rpartition(".")[2]: orjson.loads(data) for name, _, data in rest}
                found.append({**orjson.loads(main[2]), **big, "operation": op_id})
        return found


@traceable
def double(x: int) -> int:
    return 2 * x


async def target(inputs: dict[str, Any]) -> dict[str, Any]:
    if inputs["x"] == 3:
        raise ValueError("three is too much")
    return {"y": double(inputs["x"])}


def exact(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> bool:
    return bool((outputs or {}).get("y") == reference_outputs["y"])


def two(outputs: dict[str, Any]) -> dict[str, Any]:
    return {"results": [{"key": "a", "score": 0.5}, {"key": "b", "score": 1}]}


def evaluate(client: Client, experiment: TracerSession, dataset: Dataset, called: Any, **more: Any) -> None:
    async def consume() -> None:
        results = await aevaluate(
            called,
            data=client.list_examples(dataset_id=dataset.id),
            experiment=experiment,
            client=client,
            max_concurrency=0,
            blocking=False,
            **more,
        )
        async for _ in results:
            pass

    asyncio.run(consume())


def test_an_evaluation_is_recorded_whole_and_nothing_of_it_is_sent(
    backend: Backend, plain: Client, dataset: Dataset, experiment: TracerSession
) -> None:
    collected = Collected(backend, experiment)
    evaluate(collected.client, experiment, dataset, target, evaluators=[exact, two])
    # Recorded by the time the generator has ended: no pool of the SDK's has to be waited for.
    posts, scores = collected.of("post"), collected.of("feedback")
    ours = [post for post in posts if post["session_name"] == experiment.name]
    roots = [post for post in ours if post.get("reference_example_id")]
    assert len(roots) == 4
    assert len([post for post in ours if post["name"] == "double"]) == 3
    assert all(post["end_time"] for post in posts)
    assert sorted(post["inputs"]["x"] for post in roots) == [0, 1, 2, 3]
    assert len([post for post in roots if "three is too much" in post.get("error", "")]) == 1
    root_ids = {post["id"] for post in roots}
    assert {score["run_id"] for score in scores} == root_ids
    assert {score["trace_id"] for score in scores} == root_ids
    assert sorted(score["key"] for score in scores) == ["a"] * 4 + ["b"] * 4 + ["exact"] * 4
    # Nothing was sent, and the experiment was not touched.
    truth = backend.truth(str(experiment.id))
    assert (truth["runs"], truth["feedback"]) == ({}, [])
    kept = plain.read_project(project_id=experiment.id)
    assert kept.metadata == experiment.metadata
    assert kept.end_time == experiment.end_time


def test_a_marked_target_is_told_everything_that_it_needs_to_make_the_root_run(
    backend: Backend, dataset: Dataset, experiment: TracerSession
) -> None:
    extras: list[dict[str, Any]] = []

    async def marked(inputs: dict[str, Any], langsmith_extra: Any = None) -> None:
        extras.append(langsmith_extra)
        mine = uuid.uuid5(experiment.id, str(inputs["x"]))
        extra: Any = {**langsmith_extra, "run_id": mine}
        await traceable(target)(inputs, langsmith_extra=extra)

    collected = Collected(backend, experiment)
    evaluate(collected.client, experiment, dataset, mark_traceable(marked), evaluators=[exact])
    assert len(extras) == 4
    for extra in extras:
        assert {"on_end", "project_name", "metadata", "client", "reference_example_id"} <= set(extra)
        assert extra["project_name"] == experiment.name
    mine = {str(uuid.uuid5(experiment.id, str(x))) for x in range(4)}
    roots = [post for post in collected.of("post") if post.get("reference_example_id")]
    assert {post["id"] for post in roots} == mine
    assert {score["run_id"] for score in collected.of("feedback")} == mine


def test_only_the_shared_experiment_is_not_written(
    backend: Backend, plain: Client, experiment: TracerSession, dataset: Dataset
) -> None:
    other = plain.create_project(f"other-{uuid.uuid4().hex[:8]}", reference_dataset_id=dataset.id)
    client = Collected(backend, experiment).client
    assert client.update_project(experiment.id, metadata={"dataset_version": "a shard's"}) is experiment
    client.update_project(str(other.id), metadata={"written": True})
    assert plain.read_project(project_id=experiment.id).metadata == experiment.metadata
    assert (plain.read_project(project_id=other.id).metadata or {})["written"] is True
    client.share(other)
    client.update_project(experiment.id, metadata={"written": True})
    assert (plain.read_project(project_id=experiment.id).metadata or {})["written"] is True


def test_a_score_of_the_experiment_itself_is_sent(
    backend: Backend, plain: Client, experiment: TracerSession
) -> None:
    collected = Collected(backend, experiment)
    collected.client.create_feedback(None, "total", score=1, project_id=experiment.id)
    assert collected.of("feedback") == []
    answer = backend.call("GET", f"/feedback?session={experiment.id}&level=session")
    assert [row["key"] for row in answer.json()] == ["total"]


def test_the_id_of_a_score_says_whose_it_is(backend: Backend) -> None:
    collected = Collected(backend)
    item = collected.book.open(1, 1, uuid.uuid4())
    item.evaluator, project = "exact", uuid.uuid4()
    started = datetime.now(timezone.utc)
    run = Run(
        id=item.run_id, trace_id=item.run_id, name="root", run_type="chain", inputs={}, start_time=started
    )
    given = EvaluationResults(
        results=[EvaluationResult(key="k", score=1), EvaluationResult(key="k", score=2)]
    )
    failed = EvaluationResult(key="k", comment="ValueError()", extra={"error": True})
    token = CURRENT.set(item)
    try:
        collected.client._log_evaluation_feedback(given, run, project_id=project)
        collected.client._log_evaluation_feedback(failed, run, project_id=project)
        # What code posts by itself is not the evaluator's whose turn it is.
        collected.client.create_feedback(item.run_id, "k", score=1, trace_id=item.run_id, session_id=project)
    finally:
        CURRENT.reset(token)
    assert [operation[1] for operation in item.feedback] == [
        str(feedback_id(item.run_id, "exact", "k", 0)),
        str(feedback_id(item.run_id, "exact", "k", 1)),
        str(failure_id(item.run_id, "exact", "k")),
        str(feedback_id(item.run_id, "", "k", 0)),
    ]
