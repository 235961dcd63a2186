"""Annotation queues with the unmodified SDK: its old client, its async one, and the generated one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from backend_fixtures import (  # type: ignore[import-not-found]
    TOKEN,
    Backend,
    body,
    patch,
    post,
    run_id,
    running,
)
from langsmith import AsyncClient, Client, Langsmith
from langsmith import utils as ls_utils
from langsmith.client import ID_TYPE
from langsmith.schemas import RunKey

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")

START = "2026-01-02T03:04:05.000006+00:00"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("backend") / "store" / "backend.db") as served:
        yield served


@pytest.fixture
def client(backend: Backend) -> Iterator[Client]:
    with backend.client() as made:
        yield made


@pytest.fixture
def generated(backend: Backend) -> Iterator[Langsmith]:
    with Langsmith(api_key=TOKEN, base_url=backend.url) as made:
        yield made


def name(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def runs(backend: Backend, count: int) -> list[ID_TYPE]:
    ids = [run_id() for _ in range(count)]
    sent = backend.multipart(body(*(post(one, "queued", inputs={"n": n}) for n, one in enumerate(ids))))
    assert sent.status_code == 202
    return list(ids)


def in_queue(client: Client, queue: Any, **more: Any) -> list[str]:
    return [str(run.id) for run in client.list_runs_from_annotation_queue(queue.id, **more)]


def test_queues_are_made_changed_and_found(client: Client, generated: Langsmith) -> None:
    wanted, items = uuid.uuid4(), [{"feedback_key": "good", "is_required": True}]
    first = client.create_annotation_queue(
        name=name("queue"), description="d", queue_id=wanted, rubric_instructions="look",
        rubric_items=items,  # type: ignore[arg-type]
    )  # fmt: skip
    second = client.create_annotation_queue(name=name("other"))
    assert (first.id, first.description, first.rubric_instructions) == (wanted, "d", "look")
    read = client.read_annotation_queue(wanted)
    assert read == first
    assert generated.annotation_queues.retrieve(str(wanted)).rubric_items[0].feedback_key == "good"  # type: ignore[index]
    assert [q.id for q in client.list_annotation_queues(queue_ids=[wanted, second.id])] == [second.id, wanted]
    assert [q.id for q in client.list_annotation_queues(name=first.name)] == [wanted]
    assert [q.id for q in client.list_annotation_queues(name_contains=first.name[3:])] == [wanted]
    client.update_annotation_queue(wanted, name=first.name + "!", rubric_instructions="look again")
    changed = client.read_annotation_queue(wanted)
    assert (changed.name, changed.description) == (first.name + "!", "d")
    assert getattr(changed, "rubric_instructions", "") == "look again"
    assert changed.updated_at > read.updated_at
    with pytest.raises(ls_utils.LangSmithConflictError):
        client.create_annotation_queue(name=name("again"), queue_id=wanted)
    client.delete_annotation_queue(wanted)
    for gone in (client.read_annotation_queue, client.delete_annotation_queue):
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            gone(wanted)
    assert list(client.list_annotation_queues(queue_ids=[wanted])) == []


def test_many_queues_come_on_pages(client: Client) -> None:
    made = [client.create_annotation_queue(name=f"many-{n}").id for n in range(102)]
    assert {queue.id for queue in client.list_annotation_queues(name_contains="many-")} == set(made)
    assert len(list(client.list_annotation_queues(name_contains="many-", limit=3))) == 3


@pytest.mark.parametrize("by_key", [True, False])
def test_runs_of_a_queue(backend: Backend, client: Client, generated: Langsmith, by_key: bool) -> None:
    queue, ids = client.create_annotation_queue(name=name("queue")), runs(backend, 120)
    session = client.read_run(ids[0]).session_id
    assert session is not None
    keys = [RunKey(run_id=one, session_id=session, start_time=START) for one in ids]
    chosen: dict[str, Any] = {"runs": keys} if by_key else {"run_ids": ids}
    client.add_runs_to_annotation_queue(queue.id, **{key: some[:110] for key, some in chosen.items()})
    client.add_runs_to_annotation_queue(queue.id, **{key: some[100:] for key, some in chosen.items()})
    assert in_queue(client, queue) == ids
    assert in_queue(client, queue, limit=7) == ids[:7]
    one = client.get_run_from_annotation_queue(queue.id, index=3)
    assert (str(one.id), one.inputs, one.last_reviewed_time) == (ids[3], {"n": 3}, None)
    assert one.added_at is not None
    assert (datetime.now(timezone.utc) - one.added_at).total_seconds() < 60
    client.delete_run_from_annotation_queue(queue.id, run_id=ids[3])
    assert str(client.get_run_from_annotation_queue(queue.id, index=3).id) == ids[4]
    assert generated.annotation_queues.retrieve_size(str(queue.id)).size == 119
    for missing in (119, 5000):
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            client.get_run_from_annotation_queue(queue.id, index=missing)
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.delete_run_from_annotation_queue(queue.id, run_id=ids[3])
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.add_runs_to_annotation_queue(queue.id, run_ids=[ids[3], uuid.uuid4()])
    assert client.read_run(ids[3]).inputs == {"n": 3}
    assert len(in_queue(client, queue)) == 119
    client.delete_project(project_name="queued")
    assert in_queue(client, queue) == []
    assert generated.annotation_queues.retrieve_total_size(str(queue.id)).size == 0


def test_a_run_that_has_only_an_update_is_not_there_yet(backend: Backend, client: Client) -> None:
    queue, early = client.create_annotation_queue(name=name("queue")), run_id()
    assert backend.multipart(body(patch(early, outputs={}))).status_code == 202
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.add_runs_to_annotation_queue(queue.id, run_ids=[early])
    assert backend.multipart(body(post(early, "queued"))).status_code == 202
    client.add_runs_to_annotation_queue(queue.id, run_ids=[early])
    assert in_queue(client, queue) == [early]


def test_reviews(backend: Backend, client: Client, generated: Langsmith) -> None:
    queue, ids = client.create_annotation_queue(name=name("queue")), runs(backend, 3)
    client.add_runs_to_annotation_queue(queue.id, run_ids=ids)
    queues, key = generated.annotation_queues, str(queue.id)
    place = queues.retrieve_run(1, queue_id=key).queue_run_id
    queues.create_run_status(place, status="completed")
    assert in_queue(client, queue, status="completed") == [ids[1]]
    assert in_queue(client, queue, status="needs_my_review") == [ids[0], ids[2]]
    assert in_queue(client, queue, status="needs_others_review") == []
    assert str(client.get_run_from_annotation_queue(queue.id, index=1).id) == ids[2]
    done = next(client.list_runs_from_annotation_queue(queue.id, status="completed"))
    assert done.last_reviewed_time is not None
    sizes = (queues.retrieve_size(key), queues.retrieve_total_size(key), queues.retrieve_total_archived(key))
    assert [size.size for size in sizes] == [2, 3, 1]
    queues.create_run_status(place, status="viewed")
    assert queues.retrieve_total_archived(key).size == 0
    queues.runs.update(place, queue_id=key, added_at="2999-01-01T00:00:00Z")
    assert in_queue(client, queue) == [ids[0], ids[2], ids[1]]
    queues.runs.delete_queue(place, queue_id=key)
    assert in_queue(client, queue) == [ids[0], ids[2]]


def test_the_async_client(backend: Backend) -> None:
    ids = runs(backend, 3)

    async def use() -> None:
        async with AsyncClient(api_url=backend.url, api_key=TOKEN) as client:
            queue = await client.create_annotation_queue(name=name("queue"), description="d")
            assert (await client.read_annotation_queue(queue.id)).description == "d"
            await client.update_annotation_queue(queue.id, description="e")
            found = [q async for q in client.list_annotation_queues(name=queue.name)]
            assert [(q.id, q.description) for q in found] == [(queue.id, "e")]
            await client.add_runs_to_annotation_queue(queue.id, run_ids=ids)
            await client.delete_run_from_annotation_queue(queue.id, run_id=ids[0])
            left = [run async for run in client.list_runs_from_annotation_queue(queue.id)]
            assert [str(run.id) for run in left] == ids[1:]
            one = await client.get_run_from_annotation_queue(queue.id, index=1)
            assert str(one.id) == ids[2]
            await client.delete_annotation_queue(queue.id)
            with pytest.raises(StopAsyncIteration):
                await client.read_annotation_queue(queue.id)

    asyncio.run(use())


@pytest.mark.parametrize(
    ("method", "path", "told", "status"),
    [
        ("POST", "", {}, 422),
        ("POST", "", {"name": "q", "rubric_items": {}}, 422),
        ("POST", "", {"name": "q", "enable_reservations": 3}, 422),
        ("POST", "", {"name": "q", "session_ids": [str(uuid.uuid4())]}, 400),
        ("PATCH", f"/{uuid.uuid4()}", {"name": "q"}, 404),
        ("POST", f"/{uuid.uuid4()}/runs", [], 404),
        ("POST", f"/{uuid.uuid4()}/runs", {}, 422),
        ("POST", f"/{uuid.uuid4()}/runs/by-key", [{}], 422),
        ("GET", f"/{uuid.uuid4()}/runs", None, 404),
        ("GET", f"/{uuid.uuid4()}/size", None, 404),
        ("GET", f"/{uuid.uuid4()}/run/0", None, 404),
        ("GET", f"/{uuid.uuid4()}/run/-1", None, 404),
        ("GET", "?limit=0", None, 422),
        ("POST", f"/status/{uuid.uuid4()}", {}, 404),
    ],
)
def test_what_is_refused(backend: Backend, method: str, path: str, told: Any, status: int) -> None:
    assert backend.call(method, f"/annotation-queues{path}", json=told).status_code == status
