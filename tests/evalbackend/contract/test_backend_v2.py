"""The second generation of reads, as the SDK's generated client speaks it, and the SDK where there is no other."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from langsmith import Client, evaluate, traceable

from tests.support.backend import (
    ADMIN,
    Backend,
    body,
    eventually,
    part,
    post,
    run_id,
    running,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")

SMITHDB = {"ch_query_enabled": False, "sdb_query_enabled": True}
LONG_AGO = "2000-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("v2") / "backend.db", flags=SMITHDB) as served:
        yield served


def generated(client: Client) -> Any:
    """The generated client; the public properties give only its asynchronous half."""
    return client._get_langsmith_api_sync()


def name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:8]}"


@traceable
def double(x: int) -> int:
    return 2 * x


def target(inputs: dict[str, Any]) -> dict[str, Any]:
    if inputs["x"] == 2:
        raise ValueError("two is too much")
    return {"y": double(inputs["x"])}


def right(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> dict[str, Any]:
    return {"key": "right", "score": (outputs or {}).get("y") == reference_outputs["y"]}


def experiment(client: Client, count: int = 3) -> tuple[Any, Any]:
    """A dataset, and an experiment over it whose last example fails."""
    dataset = client.create_dataset(name("data"))
    rows = [{"inputs": {"x": i}, "outputs": {"y": 2 * i}} for i in range(count)]
    client.create_examples(dataset_id=dataset.id, examples=rows)
    results = evaluate(target, data=dataset.name, evaluators=[right], client=client, max_concurrency=0)
    client.flush()
    return dataset, client.read_project(project_name=results.experiment_name)


def all_there(backend: Backend, project: Any, runs: int, feedback: int) -> None:
    eventually(
        lambda: backend.truth(str(project.id))["counts"],
        lambda counts: (counts["complete"], counts["feedback"]) == (runs, feedback),
    )


def test_pages_of_experiment_runs(backend: Backend) -> None:
    with backend.client() as client:
        dataset, project = experiment(client, 5)
        all_there(backend, project, 9, 5)
        ask = generated(client).datasets.experiment_runs.query
        same: dict[str, Any] = {"experiment_ids": [str(project.id)], "selects": ["ID", "NAME"]}
        items = list(ask(str(dataset.id), page_size=2, **same))
        assert [item.inputs["x"] for item in items] == list(range(5))
        assert all(len(item.runs) == 1 and item.runs[0].name == "Target" for item in items)
        some = list(ask(str(dataset.id), example_ids=[items[3].id], **same))
        assert [item.id for item in some] == [items[3].id]
        failed = list(ask(str(dataset.id), filters={str(project.id): ['eq(status, "error")']}, **same))
        assert [item.inputs["x"] for item in failed] == [2]
        worst = list(ask(str(dataset.id), sort={"by": "feedback.right", "order": "ASC"}, page_size=1, **same))
        assert worst[0].inputs["x"] == 2
        assert len({item.id for item in worst}) == 5


def ago(**delta: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(**delta)).isoformat()


@pytest.fixture(scope="module")
def project(backend: Backend) -> tuple[str, str, str, str]:
    """(project, root with everything, its child, an old root)."""
    root, child, old, file = run_id(), run_id(), run_id(), b"bytes"
    stamp = "20260102T030405000006Z"
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "input_token_details": {"cache_read": 1},
             "total_cost": 0.5, "input_cost_details": {"cache_read": 0.25}}  # fmt: skip
    sent = backend.multipart(body(
        post(root, "v2", start_time=ago(hours=1), end_time=ago(minutes=59), tags=["t"],
             inputs={"q": "why"}, outputs={"a": 1}, extra={"metadata": {"user": "ann", "thread_id": "T"}},
             events=[{"name": "new_token", "time": ago(minutes=59.5)}]),
        part(f"attachment.{root}.file", file, "text/plain"),
        post(child, "v2", trace_id=root, parent_run_id=root, dotted_order=f"{stamp}{root}.{stamp}{child}",
             run_type="llm", start_time=ago(minutes=60), end_time=ago(minutes=59),
             outputs={"usage_metadata": usage}, error="oh"),
        post(old, "v2", start_time=ago(hours=30), end_time=None),
        part(f"feedback.{run_id()}", {"run_id": root, "trace_id": root, "key": "good", "score": 1}),
    ))  # fmt: skip
    assert sent.status_code == 202
    found = backend.call("GET", "/sessions?name=v2").json()
    return found[0]["id"], root, child, old


def test_runs_are_queried_with_what_is_selected(backend: Backend, project: tuple[str, str, str, str]) -> None:
    session, root, child, old = project
    with backend.client() as client:
        ask = generated(client).runs.query_v2
        fresh = list(ask(project_ids=[session]))
        assert {run.id for run in fresh} == {root, child}  # a day, unless told otherwise
        assert all(set(run.model_fields_set) == {"id"} for run in fresh)
        everything = list(
            ask(project_ids=[session], min_start_time=LONG_AGO, page_size=1, selects=["STATUS"])
        )
        assert [run.status for run in everything].count("PENDING") == 1
        assert len(everything) == 3

        def ids(**asked: Any) -> set[str]:
            return {run.id for run in ask(project_ids=[session], min_start_time=LONG_AGO, **asked)}

        assert ids(is_root=True) == {root, old}
        assert ids(has_error=True) == {child}
        assert ids(run_type="LLM") == {child}
        assert ids(ids=[old, child]) == {old, child}
        assert ids(trace_id=root) == {root, child}
        assert ids(max_start_time=ago(hours=20)) == {old}
        assert ids(filter='eq(feedback_key, "good")') == {root}
        assert ids(trace_filter='has(tags, "t")') == {root, child}
        assert ids(tree_filter='eq(run_type, "llm")', is_root=True) == {root}


def test_a_run_is_retrieved_in_the_words_of_v2(backend: Backend, project: tuple[str, str, str, str]) -> None:
    session, root, child, _ = project
    with backend.client() as client:
        api = generated(client).runs
        run = api.retrieve_v2(root, project_id=session, selects=[
            "ID", "NAME", "RUN_TYPE", "STATUS", "INPUTS", "OUTPUTS", "METADATA", "TAGS", "LATENCY_SECONDS",
            "PROJECT_ID", "IS_ROOT", "THREAD_ID", "ATTACHMENTS", "FEEDBACK_STATS", "EVENTS", "INPUTS_PREVIEW",
            "FIRST_TOKEN_TIME", "IS_IN_DATASET",
        ])  # fmt: skip
        assert (run.id, run.name, run.run_type, run.status) == (root, "target", "CHAIN", "SUCCESS")
        assert (run.inputs, run.outputs, run.tags) == ({"q": "why"}, {"a": 1}, ["t"])
        assert run.metadata == {"user": "ann", "thread_id": "T"}
        assert run.latency_seconds == pytest.approx(60, abs=1)
        assert (run.project_id, run.is_root, run.thread_id, run.is_in_dataset) == (session, True, "T", False)
        assert run.feedback_stats["good"].avg == 1
        assert run.events[0].name == "new_token"
        assert run.inputs_preview == '{"q":"why"}'
        assert backend.call("GET", run.attachments["file"].removeprefix(backend.url)).content == b"bytes"
        inner = api.retrieve_v2(child, project_id=session, selects=[
            "PROMPT_TOKENS", "TOTAL_COST", "PROMPT_TOKEN_DETAILS", "PROMPT_COST_DETAILS", "PARENT_RUN_IDS",
            "ERROR_PREVIEW",
        ])  # fmt: skip
        assert (inner.prompt_tokens, inner.total_cost, inner.parent_run_ids) == (3, 0.5, [root])
        assert inner.prompt_token_details.raw == {"cache_read": 1}
        assert inner.prompt_cost_details.raw == {"cache_read": 0.25}
        assert inner.error_preview == "oh"
        assert session in api.get_url(root, project_id=session, trace_id=root).url
        elsewhere = backend.call("GET", f"/api/v2/runs/{root}?project_id={run_id()}")
        assert elsewhere.status_code == 404


def test_traces_and_their_runs(backend: Backend, project: tuple[str, str, str, str]) -> None:
    session, root, child, old = project
    with backend.client() as client:
        api = generated(client).traces
        (trace,) = list(api.query(project_id=session, selects=["NAME", "TOTAL_TOKENS", "TOTAL_COST"]))
        assert trace.root_run.name == "target"
        assert (trace.trace_aggregates.total_tokens, trace.trace_aggregates.total_cost) == (7, 0.5)

        def roots(**asked: Any) -> list[str]:
            found = api.query(project_id=session, min_start_time=LONG_AGO, page_size=1, **asked)
            return [trace.root_run.id for trace in found]

        assert roots() == [root, old]
        assert roots(trace_filter='eq(status, "pending")') == [old]
        assert roots(tree_filter='eq(status, "error")') == [root]
        assert roots(trace_ids=[old]) == [old]
        runs = api.list_runs(root, project_id=session, selects=["ID", "DOTTED_ORDER"]).items
        assert {run.id for run in runs} == {root, child}
        some = api.list_runs(root, project_id=session, filter='eq(run_type, "llm")').items
        assert [run.id for run in some] == [child]


def test_the_asynchronous_client_reads_too(backend: Backend, project: tuple[str, str, str, str]) -> None:
    async def ask() -> list[str]:
        with backend.client() as client:
            async with client._get_langsmith_api() as api:  # the client itself does not close this half
                return [str(run.id) async for run in api.runs.query_v2(project_ids=[project[0]], page_size=1)]

    assert set(asyncio.run(ask())) == set(project[1:3])


P = "0c0ffee0-0000-4000-8000-000000000001"  # the same in every process that collects the tests
REFUSED: list[tuple[int, str, dict[str, Any]]] = [
    (400, "/api/v2/runs/query", {}),
    (400, "/api/v2/runs/query", {"project_ids": []}),
    (400, "/api/v2/runs/query", {"project_ids": [P], "reference_dataset_id": P}),
    (422, "/api/v2/runs/query", {"project_ids": [P], "page_size": 0}),
    (422, "/api/v2/runs/query", {"project_ids": [P], "page_size": 1001}),
    (422, "/api/v2/runs/query", {"project_ids": [P], "page_size": True}),
    (422, "/api/v2/runs/query", {"project_ids": ["x"]}),
    (400, "/api/v2/runs/query", {"project_ids": [P], "selects": ["COLOUR"]}),
    (400, "/api/v2/runs/query", {"project_ids": [P], "selects": "ID"}),
    (400, "/api/v2/runs/query", {"project_ids": [P], "run_type": "CAT"}),
    (400, "/api/v2/runs/query", {"project_ids": [P], "is_root": "yes"}),
    (400, "/api/v2/runs/query", {"project_ids": [P], "cursor": "nonsense"}),
    (400, "/api/v2/runs/query", {"project_ids": [P], "filter": "eq(nom, 1)"}),
    (501, "/api/v2/runs/query", {"project_ids": [P], "ai_search": "angry users"}),
    (400, "/api/v2/traces/query", {}),
    (422, "/api/v2/traces/query", {"project_id": P, "page_size": 101}),
    (400, f"/api/v2/datasets/{P}/experiment-runs", {}),
    (422, f"/api/v2/datasets/{P}/experiment-runs", {"experiment_ids": [P], "page_size": 101}),
    (400, f"/api/v2/datasets/{P}/experiment-runs", {"experiment_ids": [P], "cursor": "nonsense"}),
    (400, f"/api/v2/datasets/{P}/experiment-runs", {"experiment_ids": [P, P], "sort": {"by": "right"}}),
    (501, "/runs/query", {"session": [P]}),
]


@pytest.mark.parametrize(("status", "path", "asked"), REFUSED)
def test_what_is_refused(backend: Backend, status: int, path: str, asked: dict[str, Any]) -> None:
    answer = backend.call("POST", path, json=asked)
    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)


def test_the_flags_are_switched_while_it_runs(tmp_path: Any) -> None:
    with running(tmp_path / "backend.db") as served:

        def switch(flags: dict[str, Any]) -> Any:
            headers = {"x-admin-token": ADMIN}
            return served.call("PUT", "/_admin/flags", json=flags, headers=headers)

        assert served.call("POST", "/runs/query", json={"session": [P]}).status_code == 200
        assert switch(SMITHDB).status_code == 200
        assert served.call("GET", "/info").json()["instance_flags"]["sdb_query_enabled"] is True
        assert served.call("POST", "/runs/query", json={"session": [P]}).status_code == 501
        assert switch({"colour": True}).status_code == 422
        assert switch({"ch_query_enabled": "yes"}).status_code == 422
