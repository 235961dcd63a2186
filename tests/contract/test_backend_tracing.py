"""Traces with the unmodified SDK, by each of its ways: what was sent is read back whole."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from backend_fixtures import TOKEN, Backend, eventually, running  # type: ignore[import-not-found]
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langchain_core.tracers import LangChainTracer
from langsmith import AsyncClient, Client, RunTree, get_current_run_tree, trace, traceable, tracing_context
from langsmith import utils as ls_utils
from langsmith.schemas import Attachment, Run

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("backend") / "store" / "backend.db") as served:
        yield served


@pytest.fixture(params=["zstd", "plain"])
def client(
    backend: Backend, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    plain = request.param == "plain"
    monkeypatch.setenv("LANGSMITH_DISABLE_RUN_COMPRESSION", "true" if plain else "false")
    ls_utils.get_env_var.cache_clear()  # type: ignore[attr-defined]
    with backend.client() as made:
        yield made
        assert (made.compressed_traces is None) is plain  # what the test sent went the way it names
    ls_utils.get_env_var.cache_clear()  # type: ignore[attr-defined]


def name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def landed(backend: Backend, client: Client, project: str, count: int) -> dict[str, Run]:
    """The runs of a project by name, once all of them have ended; their tree must be whole."""
    client.flush()
    counts = {"runs": count, "complete": count, "repeated": 0, "patch_only": 0}
    eventually(lambda: backend.truth(project)["counts"], lambda told: told | counts == told)
    runs = list(client.list_runs(project_name=project))
    assert len(runs) == count
    by_id = {run.id: run for run in runs}
    for run in runs:
        parent = by_id.get(run.parent_run_id) if run.parent_run_id else None
        assert (parent is None) == (run.parent_run_id is None) == (run.trace_id == run.id)
        if parent is not None:
            assert (run.dotted_order or "").startswith(f"{parent.dotted_order}.")
            assert run.trace_id == parent.trace_id
            assert parent.id in (client.read_run(run.id).parent_run_ids or [])
    return {run.name: run for run in runs}


def read_file(run: Run, file: str) -> bytes:
    found: Any = run.attachments[file]
    return bytes(found["reader"].read())


@traceable(run_type="tool", tags=["leaf"], metadata={"deep": True})
def leaf(x: int) -> int:
    current = get_current_run_tree()
    assert current is not None
    current.add_event({"name": "looked", "time": NOW.isoformat()})
    if x < 0:
        raise ValueError("negative")
    return x + 1


@traceable(name="branch")
async def branch(x: int) -> int:
    await asyncio.sleep(0)
    return sum(await asyncio.gather(*(asyncio.to_thread(leaf, x + n) for n in range(3))))


@traceable(reduce_fn=lambda parts: {"all": "".join(parts)})
def stream(text: str) -> Iterator[str]:
    yield from text


def test_traceable(backend: Backend, client: Client) -> None:
    project = name("traceable")
    with tracing_context(
        enabled=True, client=client, project_name=project, metadata={"outer": 1}, tags=["o"]
    ):
        assert asyncio.run(branch(1)) == 9
        assert list(stream("abc")) == ["a", "b", "c"]
        with pytest.raises(ValueError, match="negative"):
            leaf(-1, langsmith_extra={"name": "failed", "run_id": (failed := uuid.uuid4())})
    runs = landed(backend, client, project, 6)
    assert (runs["branch"].inputs, runs["branch"].outputs) == ({"x": 1}, {"output": 9})
    assert runs["stream"].outputs == {"all": "abc"}
    leaves = list(client.list_runs(project_name=project, run_type="tool", error=False))
    assert sorted((run.inputs["x"], (run.outputs or {})["output"]) for run in leaves) == [
        (1, 2),
        (2, 3),
        (3, 4),
    ]
    for run in leaves:
        assert run.parent_run_id == runs["branch"].id
        assert {"leaf", "o"} <= set(run.tags or [])
        assert (run.metadata["deep"], run.metadata["outer"]) == (True, 1)
        assert [event["name"] for event in client.read_run(run.id).events or []] == ["looked"]
    assert (runs["failed"].id, runs["failed"].status, runs["failed"].parent_run_id) == (failed, "error", None)
    assert "ValueError('negative')" in (runs["failed"].error or "")


@traceable(run_type="llm")
def model(prompt: str) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "total_cost": 0.75}
    return {"text": prompt.upper(), "usage_metadata": usage}


@traceable
def with_files(q: str, picture: Attachment, note: Attachment) -> str:
    return q


def test_attachments_usage_and_the_context_manager(backend: Backend, client: Client, tmp_path: Path) -> None:
    project, path = name("files"), tmp_path / "note.txt"
    path.write_bytes(b"from a file" * 1000)
    on_disk: Any = {"note": ("text/plain", path)}
    picture = Attachment(mime_type="image/png", data=bytes(range(256)))
    with tracing_context(enabled=True, client=client, project_name=project):
        with trace("manual", "chain", inputs={"q": 1}, tags=["t"], metadata={"m": 1}) as run:
            model("hi")
            with_files("q", picture, Attachment(mime_type="text/plain", data=b"note"))
            run.end(outputs={"a": 2})
        child = RunTree(
            name="from disk", ls_client=client, project_name=project, dangerously_allow_filesystem=True,
            attachments=on_disk,
        )  # fmt: skip
        child.post()
        child.end(outputs={"big": "x" * 200_000})
        child.patch()
    runs = landed(backend, client, project, 4)
    manual = runs["manual"]
    assert (manual.inputs, manual.outputs, manual.tags) == ({"q": 1}, {"a": 2}, ["t"])
    assert manual.metadata["m"] == 1
    llm = client.read_run(runs["model"].id)
    assert (llm.prompt_tokens, llm.completion_tokens, llm.total_tokens) == (3, 4, 7)
    assert llm.total_cost is not None
    assert float(llm.total_cost) == 0.75
    assert read_file(runs["with_files"], "picture") == picture.data
    assert read_file(runs["with_files"], "note") == b"note"
    assert runs["with_files"].inputs == {"q": "q"}
    assert read_file(runs["from disk"], "note") == path.read_bytes()
    assert runs["from disk"].outputs == {"big": "x" * 200_000}


def test_run_trees(backend: Backend, client: Client) -> None:
    project = name("tree")
    root = RunTree(
        name="root", run_type="chain", inputs={"q": 1}, start_time=NOW, ls_client=client, project_name=project,
        tags=["a"], extra={"metadata": {"k": "v"}},
    )  # fmt: skip
    root.post()
    child = root.create_child("child", "retriever", inputs={"c": 1}, start_time=NOW + timedelta(seconds=1))
    child.post()
    headers: dict[Any, Any] = child.to_headers()
    elsewhere = RunTree.from_headers(headers, client=client, project_name=project)
    assert elsewhere is not None
    far = elsewhere.create_child("far", "tool")
    far.post()
    far.end(error="broken")
    far.patch()
    child.end(outputs={"documents": []}, end_time=NOW + timedelta(seconds=2))
    child.patch()
    root.add_tags(["b"])
    root.add_metadata({"later": 1})
    root.end(outputs={"a": 2}, end_time=NOW + timedelta(seconds=3))
    root.patch()
    runs = landed(backend, client, project, 3)
    read = client.read_run(root.id, load_child_runs=True)
    assert (read.start_time, read.end_time) == (NOW, NOW + timedelta(seconds=3))
    assert (read.inputs, read.outputs, sorted(read.tags or [])) == ({"q": 1}, {"a": 2}, ["a", "b"])
    assert (read.metadata["k"], read.metadata["later"]) == ("v", 1)
    (inner,) = read.child_runs or []
    assert (inner.id, inner.run_type, [run.id for run in inner.child_runs or []]) == (
        child.id, "retriever", [far.id],
    )  # fmt: skip
    assert (runs["far"].error, runs["far"].status) == ("broken", "error")
    found = list(client.list_runs(trace_id=root.id))
    assert {run.id for run in found} == {root.id, child.id, far.id}


class Shelf(BaseRetriever):
    """A retriever with one document."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [Document(f"about {query}")]


@tool
def shout(text: str) -> str:
    """Say it loudly."""
    return f"{text}!"


def chain() -> Any:
    prompt = ChatPromptTemplate.from_messages([("system", "be short"), ("human", "{q}")])
    parallel = RunnableParallel(
        answer=prompt | FakeListChatModel(responses=["yes"]), found=RunnableLambda(lambda x: x["q"]) | Shelf()
    )
    return parallel | RunnableLambda(lambda x: shout.invoke(x["answer"].content)).with_config(run_name="loud")


@pytest.mark.parametrize("way", ["sync", "async"])
def test_the_tracer_of_langchain(backend: Backend, client: Client, way: str) -> None:
    project, example = name("chain"), None
    tracer = LangChainTracer(project_name=project, client=client, tags=["lc"], example_id=example)
    config = {"callbacks": [tracer], "metadata": {"thread_id": "t1"}, "run_name": "whole"}
    made = chain()
    if way == "sync":
        assert made.invoke({"q": "tea"}, config) == "yes!"
    else:
        assert asyncio.run(made.ainvoke({"q": "tea"}, config)) == "yes!"
    tracer.wait_for_futures()
    expected = {"whole", "ChatPromptTemplate", "FakeListChatModel", "Shelf", "loud", "shout"}
    client.flush()
    eventually(lambda: backend.truth(project)["counts"], lambda told: told["complete"] == told["runs"] >= 9)
    runs = landed(backend, client, project, backend.truth(project)["counts"]["runs"])
    assert expected <= set(runs)
    types = {run.name: run.run_type for run in runs.values()}
    assert (types["FakeListChatModel"], types["Shelf"], types["shout"]) == ("llm", "retriever", "tool")
    assert [run.name for run in runs.values() if run.parent_run_id is None] == ["whole"]
    assert (runs["whole"].inputs, runs["whole"].outputs) == ({"q": "tea"}, {"output": "yes!"})
    assert all(run.metadata["thread_id"] == "t1" and "lc" in (run.tags or []) for run in runs.values())
    said = client.read_run(runs["FakeListChatModel"].id)
    assert (said.outputs or {})["generations"][0][0]["text"] == "yes"
    assert said.inputs["messages"][0][1]["kwargs"]["content"] == "tea"
    assert said.serialized is not None
    assert (runs["Shelf"].outputs or {})["documents"][0]["page_content"] == "about tea"


def test_a_failing_chain(backend: Backend, client: Client) -> None:
    project = name("chain")
    tracer = LangChainTracer(project_name=project, client=client)

    def fail(_: Any) -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError):
        (RunnableLambda(lambda x: x) | RunnableLambda(fail)).invoke(1, {"callbacks": [tracer]})
    tracer.wait_for_futures()
    runs = landed(backend, client, project, 3)
    assert {run.name: run.status for run in runs.values()} == {
        "RunnableSequence": "error", "RunnableLambda": "success", "fail": "error",
    }  # fmt: skip
    assert "KeyError('lost')" in (runs["RunnableSequence"].error or "")


@pytest.mark.parametrize("prefix", ["", "/api", "/api/v1", "/v1"])
def test_each_prefix(backend: Backend, prefix: str) -> None:
    project = name("prefix")
    with backend.client(api_url=backend.url + prefix) as client:
        with tracing_context(enabled=True, client=client, project_name=project):
            asyncio.run(branch(1))
            with_files("q", Attachment("text/plain", b"one"), Attachment("text/plain", b"two"))
        runs = landed(backend, client, project, 5)
        assert read_file(runs["with_files"], "note") == b"two"
        listed = client.read_project(project_name=project, include_stats=True)
        assert listed.name == project


def test_the_async_client(backend: Backend) -> None:
    project, run = name("async"), uuid.uuid4()

    async def use() -> None:
        async with AsyncClient(api_url=backend.url, api_key=TOKEN) as client:
            made = await client.create_project(project)
            assert (await client.read_project(project_name=project)).id == made.id
            await client.create_run(
                "r", {"q": 1}, "chain", id=run, project_name=project, start_time=NOW, tags=["t"]
            )
            assert (await client.read_run(run)).status == "pending"
            await client.update_run(run, outputs={"a": 2}, end_time=NOW + timedelta(seconds=1))
            read = await client.read_run(run)
            assert (read.inputs, read.outputs, read.status, read.tags) == (
                {"q": 1},
                {"a": 2},
                "success",
                ["t"],
            )
            assert [one.id async for one in client.list_runs(project_name=project)] == [run]
            given = await client.create_feedback(run, key="good", score=1, comment="c")
            assert (await client.read_feedback(given.id)).comment == "c"
            assert [f.id async for f in client.list_feedback(run_ids=[run])] == [given.id]
            await client.delete_feedback(given.id)
            assert [f.id async for f in client.list_feedback(run_ids=[run])] == []
            await client.delete_project(project_name=project)
            with pytest.raises(ls_utils.LangSmithNotFoundError):
                await client.read_project(project_name=project)

    asyncio.run(use())
