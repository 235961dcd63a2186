"""The asynchronous client: each of its calls, and what it wrote read back."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from langsmith import AsyncClient
from langsmith import utils as ls_utils
from langsmith.schemas import RunKey

from tests.evalbackend.acceptance.world import LONG_AGO, QUIET, World, name
from tests.support.backend import TOKEN

pytestmark = QUIET


def now() -> datetime:
    return datetime.now(timezone.utc)


@asynccontextmanager
async def opened(world: World) -> AsyncIterator[AsyncClient]:
    client = AsyncClient(api_url=world.client.api_url, api_key=TOKEN)
    try:
        yield client
    finally:
        await client._langsmith_api.close()  # the client itself does not close this half
        await client.aclose()  # type: ignore[no-untyped-call]


async def written(client: AsyncClient, project: str, count: int, **more: Any) -> list[uuid.UUID]:
    """Ended runs, oldest first."""
    ids, start = [uuid.uuid4() for _ in range(count)], now() - timedelta(minutes=1)
    for n, run in enumerate(ids):
        at = start + timedelta(seconds=n)
        told = {"id": run, "start_time": at, "tags": ["t"], "extra": {"metadata": {"thread_id": "T"}}, **more}
        await client.create_run("r", {"n": n}, "chain", project_name=project, **told)
        await client.update_run(run, outputs={"o": n}, end_time=at + timedelta(seconds=1))
    return ids


def test_runs_and_projects(world: World) -> None:
    async def use() -> None:
        async with opened(world) as client:
            flags = (await client.info()).instance_flags or {}
            assert flags["sdb_query_enabled"] is (world.axes.reads != "older")
            project = name("async")
            made = await client.create_project(project)
            ids = await written(client, project, 3)
            assert (await client.read_project(project_name=project)).id == made.id
            await _read_back(world, client, made.id, ids)
            await client.delete_project(project_name=project)
            with pytest.raises(ls_utils.LangSmithNotFoundError):
                await client.read_project(project_name=project)

    asyncio.run(use())


async def _read_back(world: World, client: AsyncClient, project: uuid.UUID, ids: list[uuid.UUID]) -> None:
    if world.older:
        assert [run.id async for run in client.list_runs(project_id=project)] == ids[::-1]
    pages = client.runs.query_v2(project_ids=[str(project)], min_start_time=LONG_AGO, page_size=2)
    assert {uuid.UUID(run.id) async for run in pages} == set(ids)
    for n, run in enumerate(ids):
        read = await client.read_run(run, project_id=project)
        assert (read.inputs, read.outputs, read.status, read.tags) == ({"n": n}, {"o": n}, "success", ["t"])
    traces = [
        trace.root_run and trace.root_run.id async for trace in client.traces.query(project_id=str(project))
    ]
    assert set(traces) == {str(one) for one in ids}
    (thread,) = [one async for one in client.threads.query(project_id=str(project))]
    assert (thread.thread_id, thread.count) == ("T", 3)


def test_feedback(sample: World) -> None:
    async def use() -> None:
        async with opened(sample) as client:
            project = await client.create_project(name("async"))
            (run,) = await written(client, str(project.name), 1)
            told: Any = {"session_id": project.id, "start_time": now()}
            made = await client.create_feedback(run, key="good", score=1, comment="c", **told)
            assert (await client.read_feedback(made.id)).comment == "c"
            token = await client.create_presigned_feedback_token(run, "thumbs")
            await client.create_feedback_from_token(token.url, score=0.5)
            given = {f.key: f.score async for f in client.list_feedback(run_ids=[run])}
            assert given == {"good": 1, "thumbs": 0.5}
            await client.delete_feedback(made.id)
            assert [f.key async for f in client.list_feedback(run_ids=[run])] == ["thumbs"]

    asyncio.run(use())


def test_feedback_is_configured(sample: World) -> None:
    config: Any = {"type": "continuous", "min": 0.0, "max": 5.0}

    async def use() -> None:
        async with opened(sample) as client:
            key = name("stars")

            async def listed() -> list[Any]:
                return [one async for one in client.list_feedback_configs(feedback_key=[key])]

            await client.create_feedback_config(key, feedback_config=config)
            assert [one.feedback_config for one in await listed()] == [config]
            await client.update_feedback_config(key, is_lower_score_better=True)
            assert [one.is_lower_score_better for one in await listed()] == [True]
            await client.delete_feedback_config(key)
            assert await listed() == []
            if hasattr(client, "add_feedback_categories") and hasattr(
                client, "remove_feedback_categories"
            ):  # from 0.15 on
                some: Any = [{"value": float(value), "label": f"l{value}"} for value in range(4)]
                kinds: Any = {"type": "categorical", "categories": some[:2]}
                await client.create_feedback_config(key, feedback_config=kinds)
                await client.add_feedback_categories(key, some[2:])
                await client.remove_feedback_categories(key, [0.0])
                assert [one.feedback_config["categories"] for one in await listed()] == [some[1:]]

    asyncio.run(use())


def test_datasets_and_examples(sample: World) -> None:
    async def use() -> None:
        async with opened(sample) as client:
            dataset = await client.create_dataset(name("async"), description="d")
            assert (await client.read_dataset(dataset_name=dataset.name)).description == "d"
            assert [d.id async for d in client.list_datasets(name=dataset.name)] == [dataset.id]
            one = await client.create_example(
                {"q": 1}, outputs={"a": 2}, dataset_id=dataset.id, metadata={"k": 1}
            )
            read = await client.read_example(one.id)
            assert (read.inputs, read.outputs, (read.metadata or {})["k"]) == ({"q": 1}, {"a": 2}, 1)
            assert [e.id async for e in client.list_examples(dataset_id=dataset.id)] == [one.id]
            project = await client.create_project(name("p"), reference_dataset_id=str(dataset.id))
            await written(client, str(project.name), 1, reference_example_id=one.id)
            rows = client.datasets.experiment_runs.query(str(dataset.id), experiment_ids=[str(project.id)])
            assert [row.id async for row in rows] == [str(one.id)]
            await client.delete_dataset(dataset.id)
            with pytest.raises(ls_utils.LangSmithNotFoundError):
                await client.read_dataset(dataset_name=dataset.name)

    asyncio.run(use())


def test_sharing(sample: World) -> None:
    async def use() -> None:
        async with opened(sample) as client:
            (run,) = await written(client, name("async"), 1)
            assert not await client.run_is_shared(run)
            link = await client.share_run(run)
            assert await client.run_is_shared(run)
            assert await client.read_run_shared_link(run) == link
            shared = await client.public.runs.query(link.split("/")[-2], selects=["ID"])
            assert [one.id for one in shared.items or []] == [str(run)]

    asyncio.run(use())


def test_annotation_queues(sample: World) -> None:
    async def use() -> None:
        async with opened(sample) as client:
            project = await client.create_project(name("async"))
            ids = await written(client, str(project.name), 3)
            queue = await client.create_annotation_queue(name=name("queue"), description="d")
            await client.update_annotation_queue(queue.id, description="e")
            assert (await client.read_annotation_queue(queue.id)).description == "e"
            assert [q.id async for q in client.list_annotation_queues(name=queue.name)] == [queue.id]
            key = RunKey(run_id=ids[2], session_id=project.id, start_time=now().isoformat())
            await client.add_runs_to_annotation_queue(queue.id, run_ids=[ids[0], ids[1]])
            await client.add_runs_to_annotation_queue(queue.id, runs=[key])
            await client.delete_run_from_annotation_queue(queue.id, run_id=ids[0])
            assert [r.id async for r in client.list_runs_from_annotation_queue(queue.id)] == ids[1:]
            assert (await client.get_run_from_annotation_queue(queue.id, index=1)).id == ids[2]
            assert (await client.annotation_queues.retrieve_size(str(queue.id))).size == 2
            await client.delete_annotation_queue(queue.id)
            assert [q.id async for q in client.list_annotation_queues(name=queue.name)] == []

    asyncio.run(use())
