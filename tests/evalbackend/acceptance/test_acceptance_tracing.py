"""Traces by each way the SDK has: what was sent is read back whole."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from langsmith import RunTree, get_current_run_tree, trace, traceable, tracing_context
from langsmith import utils as ls_utils
from langsmith.schemas import Attachment

from tests.evalbackend.acceptance.seen import Seen
from tests.evalbackend.acceptance.world import QUIET, World, name
from tests.support.backend import run_id

pytestmark = QUIET


def stamp(at: datetime, run: str) -> str:
    return f"{at.strftime('%Y%m%dT%H%M%S%fZ')}{run}"


def now() -> datetime:
    return datetime.now(timezone.utc)


def by_name(runs: list[Seen]) -> dict[str, Seen]:
    return {run.name: run for run in runs}


@traceable(run_type="tool", tags=["leaf"], metadata={"deep": True})
def leaf(x: int) -> int:
    current = get_current_run_tree()
    assert current is not None
    current.add_event({"name": "looked", "time": "2026-01-02T03:04:05+00:00"})
    if x < 0:
        raise ValueError("negative")
    return x + 1


@traceable(name="branch")
async def branch(x: int) -> int:
    await asyncio.sleep(0)  # waits for nothing: the traced task is to be resumed once by the loop
    return sum(await asyncio.gather(*(asyncio.to_thread(leaf, x + n) for n in range(3))))


@traceable(reduce_fn=lambda parts: {"all": "".join(parts)})
def stream(text: str) -> Iterator[str]:
    yield from text


def test_traceable(world: World) -> None:
    project, failed = name("traceable"), uuid.uuid4()
    told: dict[str, Any] = {"project_name": project, "metadata": {"outer": 1}, "tags": ["o"]}
    with tracing_context(enabled=True, client=world.client, **told):
        assert asyncio.run(branch(1)) == 9
        assert list(stream("abc")) == ["a", "b", "c"]
        with pytest.raises(ValueError, match="negative"):
            leaf(-1, langsmith_extra={"name": "failed", "run_id": failed})
    runs = world.landed(project, 6)
    assert (world.client.compressed_traces is not None) is world.axes.zstd  # they went the way the axis says
    named = by_name(runs)
    assert (named["branch"].inputs, named["branch"].outputs) == ({"x": 1}, {"output": 9})
    assert named["stream"].outputs == {"all": "abc"}
    leaves = [run for run in runs if run.name == "leaf"]
    assert sorted((run.inputs["x"], (run.outputs or {})["output"]) for run in leaves) == [
        (1, 2),
        (2, 3),
        (3, 4),
    ]
    for run in leaves:
        assert (run.parent_run_id, run.run_type) == (named["branch"].id, "tool")
        assert {"leaf", "o"} <= set(run.tags)
        assert (run.metadata["deep"], run.metadata["outer"]) == (True, 1)
    assert (named["failed"].id, named["failed"].status) == (str(failed), "error")
    assert "ValueError('negative')" in (named["failed"].error or "")
    assert {run.id for run in world.runs(project, run_type="tool", error=True)} == {str(failed)}
    assert {run.id for run in world.runs(project, is_root=True)} == {
        run.id for run in runs if run.parent_run_id is None
    }


@traceable(run_type="llm")
def model(prompt: str) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "total_cost": 0.75}
    return {"text": prompt.upper(), "usage_metadata": usage}


@traceable
def with_files(q: str, picture: Attachment, note: Attachment) -> str:
    return q


def test_attachments_usage_and_the_context_manager(world: World, tmp_path: Path) -> None:
    project, path = name("files"), tmp_path / "note.txt"
    path.write_bytes(b"from a file" * 1000)
    on_disk: Any = {"note": ("text/plain", path)}
    picture = Attachment(mime_type="image/png", data=bytes(range(256)))
    with tracing_context(enabled=True, client=world.client, project_name=project):
        with trace("manual", "chain", inputs={"q": 1}, tags=["t"], metadata={"m": 1}) as run:
            model("hi")
            with_files("q", picture, Attachment(mime_type="text/plain", data=b"note"))
            run.end(outputs={"a": 2})
        child = RunTree(
            name="from disk", ls_client=world.client, project_name=project, dangerously_allow_filesystem=True,
            attachments=on_disk,
        )  # fmt: skip
        child.post()
        child.end(outputs={"big": "x" * 200_000})
        child.patch()
    runs = by_name(world.landed(project, 4))
    manual = runs["manual"]
    assert (manual.inputs, manual.outputs, manual.tags, manual.metadata["m"]) == (
        {"q": 1},
        {"a": 2},
        ["t"],
        1,
    )
    assert (runs["model"].tokens, runs["model"].cost) == (7, 0.75)
    assert runs["with_files"].files == {"picture": picture.data, "note": b"note"}
    assert runs["with_files"].inputs == {"q": "q"}
    assert runs["from disk"].files == {"note": path.read_bytes()}
    assert runs["from disk"].outputs == {"big": "x" * 200_000}


def test_run_trees(world: World) -> None:
    project, start, client = name("tree"), now(), world.client
    root = RunTree(
        name="root", run_type="chain", inputs={"q": 1}, start_time=start, ls_client=client, project_name=project,
        tags=["a"], extra={"metadata": {"k": "v"}},
    )  # fmt: skip
    root.post()
    child = root.create_child("child", "retriever", inputs={"c": 1}, start_time=start + timedelta(seconds=1))
    child.post()
    headers: dict[Any, Any] = child.to_headers()
    elsewhere = RunTree.from_headers(headers, client=client, project_name=project)
    assert elsewhere is not None
    far = elsewhere.create_child("far", "tool")
    far.post()
    far.end(error="broken")
    far.patch()
    child.end(outputs={"documents": []}, end_time=start + timedelta(seconds=2))
    child.patch()
    root.add_tags(["b"])
    root.add_metadata({"later": 1})
    root.end(outputs={"a": 2}, end_time=start + timedelta(seconds=3))
    root.patch()
    runs = by_name(world.landed(project, 3))
    top = world.run(runs["root"])
    assert (top.start_time, top.end_time) == (start, start + timedelta(seconds=3))
    assert (top.inputs, top.outputs, top.tags) == ({"q": 1}, {"a": 2}, ["a", "b"])
    assert (top.metadata["k"], top.metadata["later"]) == ("v", 1)
    assert (runs["child"].run_type, runs["child"].parent_run_id) == ("retriever", top.id)
    assert (runs["far"].error, runs["far"].status) == ("broken", "error")
    assert runs["far"].parent_run_id == runs["child"].id
    if world.older:
        whole = client.read_run(root.id, load_child_runs=True)
        (inner,) = whole.child_runs or []
        assert [run.id for run in inner.child_runs or []] == [far.id]


def test_single_runs(world: World) -> None:
    client, project, run, start = world.client, name("single"), run_id(), now()
    more: Any = {"trace_id": run, "dotted_order": stamp(start, run)}
    client.create_run(
        "r", {"q": 1}, "llm", id=run, project_name=project, start_time=start, tags=["t"],
        extra={"metadata": {"m": 1}}, attachments={"f": ("text/plain", b"hello")}, **more,
    )  # fmt: skip
    client.flush()
    (pending,) = world.runs(project)
    assert (pending.status, pending.end_time) == ("pending", None)
    client.update_run(run, outputs={"o": 2}, end_time=start + timedelta(seconds=1), tags=["u"], **more)
    client.flush()
    if world.axes.zstd:
        client.flush_compressed_traces()
    (read,) = world.landed(project, 1)
    assert (read.inputs, read.outputs, read.status, read.tags) == ({"q": 1}, {"o": 2}, "success", ["u"])
    assert (read.files, read.metadata["m"], read.start_time) == ({"f": b"hello"}, 1, start)
    alone = run_id()  # without a trace it is posted by itself
    client.create_run("alone", {}, "chain", id=alone, project_name=project, start_time=start)
    client.update_run(alone, outputs={"o": 3}, end_time=start + timedelta(seconds=1))
    assert by_name(world.landed(project, 2))["alone"].outputs == {"o": 3}


def test_whole_batches(world: World) -> None:
    client, project, start = world.client, name("batch"), now()

    def made(run: str, **more: Any) -> dict[str, Any]:
        fixed = {"id": run, "trace_id": run, "dotted_order": stamp(start, run), "session_name": project}
        return {**fixed, "name": "r", "run_type": "chain", "start_time": start, "inputs": {"i": run}, **more}

    def ended(run: str) -> dict[str, Any]:
        same = {"id": run, "trace_id": run, "dotted_order": stamp(start, run), "session_name": project}
        return {**same, "outputs": {"o": run}, "end_time": start + timedelta(seconds=1)}

    ids = [run_id() for _ in range(6)]
    client.batch_ingest_runs(create=[made(run) for run in ids[:3]])
    client.batch_ingest_runs(update=[ended(run) for run in ids[:3]])
    client.multipart_ingest(create=[made(run) for run in ids[3:]])
    client.multipart_ingest(update=[ended(run) for run in ids[3:]])
    runs = world.landed(project, 6)
    assert {run.id: (run.inputs, run.outputs) for run in runs} == {
        run: ({"i": run}, {"o": run}) for run in ids
    }
    stats = client.get_run_stats(project_names=[project])
    assert (stats["run_count"], stats["error_rate"], stats["latency_p50"]) == (
        6,
        0,
        pytest.approx(1, abs=1e-3),
    )
    named = RunTree(name="r", id=uuid.UUID(ids[0]), ls_client=client, project_name=project)
    url = client.get_run_url(run=named)
    assert runs[0].session_id in url
    assert ids[0] in url
    told = world.api.runs.get_url(ids[0], project_id=runs[0].session_id, trace_id=ids[0]).url
    assert ids[0] in told


def test_threads(sample: World) -> None:
    client, project, start = sample.client, name("threads"), now() - timedelta(minutes=5)
    turns: list[RunTree] = []
    for number in range(4):
        turn = RunTree(
            name=f"turn {number}", inputs={"n": number}, ls_client=client, project_name=project,
            start_time=start + timedelta(seconds=number), extra={"metadata": {"thread_id": f"T{number % 2}"}},
        )  # fmt: skip
        turn.post()
        turn.end(outputs={"o": number}, end_time=start + timedelta(seconds=number + 1))
        turn.patch()
        turns.append(turn)
    session = sample.landed(project, 4)[0].session_id
    odd = [str(turns[1].id), str(turns[3].id)]
    if sample.older:
        assert [str(run.id) for run in client.read_thread(thread_id="T1", project_name=project)] == odd
        told = {
            t["thread_id"]: [str(run.id) for run in t["runs"]]
            for t in client.list_threads(project_id=session)
        }
        assert told == {"T1": odd, "T0": [str(turns[0].id), str(turns[2].id)]}
    found = {thread.thread_id: thread for thread in sample.api.threads.query(project_id=session)}
    assert {key: thread.count for key, thread in found.items()} == {"T0": 2, "T1": 2}
    traces = sample.api.threads.list_traces("T1", project_id=session, selects=["INPUTS"])
    assert [(one.trace_id, one.inputs) for one in traces] == [(odd[0], {"n": 1}), (odd[1], {"n": 3})]
    assert sample.api.threads.stats("T1", session_id=session, selects=["TURNS"]).turns == 2


def test_what_is_streamed_is_what_is_there(sample: World) -> None:
    project = name("streamed")
    told: dict[str, Any] = {"metadata": {"thread_id": "T"}}
    with tracing_context(enabled=True, client=sample.client, project_name=project, **told):
        assert [leaf(x) for x in range(5)] == [1, 2, 3, 4, 5]
    runs, api = sample.landed(project, 5), sample.api
    ids, session = {run.id for run in runs}, runs[0].session_id
    assert {run.id for run in api.runs.streaming.query_v2_items(project_ids=[session], page_size=2)} == ids
    traces = api.traces.streaming.query_items(project_id=session, page_size=2)
    assert {trace.root_run.id for trace in traces} == ids
    assert [(t.thread_id, t.count) for t in api.threads.streaming.query_items(project_id=session)] == [
        ("T", 5)
    ]


def test_a_closed_client_has_sent_everything(sample: World) -> None:
    for ending in ("cleanup", "close"):
        project = name(ending)
        with sample.backend.client(api_url=sample.client.api_url) as other:
            for _ in range(20):
                run = RunTree(name="r", inputs={"q": 1}, ls_client=other, project_name=project)
                run.post()
                run.end(outputs={"a": 2})
                run.patch()
            other.cleanup() if ending == "cleanup" else other.close()
            runs = sample.landed(project, 20)
        assert {(run.inputs["q"], (run.outputs or {})["a"]) for run in runs} == {(1, 2)}


def test_two_clients_of_either_setting_share_a_trace(sample: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, project, start = [run_id() for _ in range(20)], name("mixed"), now()
    more: list[dict[str, Any]] = [{"trace_id": run, "dotted_order": stamp(start, run)} for run in ids]
    monkeypatch.setenv("LANGSMITH_DISABLE_RUN_COMPRESSION", "true")
    ls_utils.get_env_var.cache_clear()  # type: ignore[attr-defined]
    with sample.backend.client(api_url=sample.client.api_url) as plain:
        both = (sample.client, plain)
        for n, run in enumerate(ids):
            both[n % 2].create_run(
                "r", {"n": n}, "chain", id=run, project_name=project, start_time=start, **more[n]
            )
        for n, run in enumerate(ids):  # by the other one, which may overtake
            end: dict[str, Any] = {"outputs": {"o": n}, "end_time": start + timedelta(seconds=1)}
            both[(n + 1) % 2].update_run(run, session_name=project, **end, **more[n])
        plain.flush()
        runs = sample.landed(project, 20)
        assert plain.compressed_traces is None
    monkeypatch.undo()
    ls_utils.get_env_var.cache_clear()  # type: ignore[attr-defined]
    assert {run.id: (run.inputs, run.outputs) for run in runs} == {
        run: ({"n": n}, {"o": n}) for n, run in enumerate(ids)
    }


def test_the_client_tells_where_it_is(world: World) -> None:
    client = world.client
    assert client.api_url == world.backend.url + world.axes.prefix
    flags = client.info.instance_flags or {}
    assert flags["zstd_compression_enabled"] is world.axes.zstd
    assert (flags["ch_query_enabled"], flags["sdb_query_enabled"]) == (
        world.older,
        world.axes.reads != "older",
    )
    answer = client.request_with_retries("GET", "/sessions", params={"name": "default"})
    assert answer.json()[0]["name"] == "default"
    if not world.older:
        with pytest.raises(ls_utils.LangSmithError, match="api/v2 only"):
            list(client.list_runs(project_name="default"))
