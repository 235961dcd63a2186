"""Annotation queues with the unmodified SDK: its old client, its async one, and the generated one."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from langsmith import AsyncClient, Client, Langsmith
from langsmith import utils as ls_utils
from langsmith.client import ID_TYPE
from langsmith.schemas import RunKey

from evalbackend.store.migrate import MIGRATIONS
from tests.support.backend import (
    TOKEN,
    Backend,
    body,
    patch,
    post,
    run_id,
    running,
)

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
            with pytest.raises(
                (StopAsyncIteration, ls_utils.LangSmithNotFoundError)
            ):  # before 0.15, and since
                await client.read_annotation_queue(queue.id)

    asyncio.run(use())


# Parameters must be the same in every process that collects them: an id that nothing has.
NOBODYS = "0c0ffee0-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("method", "path", "told", "status"),
    [
        ("POST", "", {}, 422),
        ("POST", "", {"name": "q", "rubric_items": {}}, 422),
        ("POST", "", {"name": "q", "enable_reservations": 3}, 422),
        ("PATCH", f"/{NOBODYS}", {"name": "q"}, 404),
        ("POST", f"/{NOBODYS}/runs", [], 404),
        ("POST", f"/{NOBODYS}/runs", {}, 422),
        ("POST", f"/{NOBODYS}/runs/by-key", [{}], 422),
        ("GET", f"/{NOBODYS}/runs", None, 404),
        ("GET", f"/{NOBODYS}/size", None, 404),
        ("GET", f"/{NOBODYS}/run/0", None, 404),
        ("GET", f"/{NOBODYS}/run/-1", None, 404),
        ("GET", "?limit=0", None, 422),
        ("POST", f"/status/{NOBODYS}", {}, 404),
    ],
)
def test_what_is_refused(backend: Backend, method: str, path: str, told: Any, status: int) -> None:
    assert backend.call(method, f"/annotation-queues{path}", json=told).status_code == status


def conversation(backend: Backend, thread: str) -> tuple[str, list[str]]:
    """A session with two traces of one thread, and one of another; return (session, traces)."""
    ids, session = [run_id() for _ in range(3)], name("talk")
    parts = []
    for n, one in enumerate(ids):
        start = f"2026-01-0{n + 2}T00:00:00+00:00"
        extra = {"metadata": {"thread_id": thread if n < 2 else "another"}}
        parts.append(post(one, session, start_time=start, end_time=start, extra=extra))
    assert backend.multipart(body(*parts)).status_code == 202
    return str(backend.call("GET", f"/sessions?name={session}").json()[0]["id"]), ids


def test_items_are_runs_and_threads(backend: Backend, client: Client, generated: Langsmith) -> None:
    project, ids = conversation(backend, "T")
    queue, items = (
        str(client.create_annotation_queue(name=name("queue")).id),
        generated.annotation_queues.items,
    )
    told: list[Any] = [{"item_type": "THREAD", "thread_id": "T", "project_id": project}]
    told += [{"item_type": "RUN", "run_id": one, "session_id": project} for one in ids]
    added = items.create(queue, items=told).items or []
    assert [(one.item_type, one.run_id or one.thread_id) for one in added] == [
        ("THREAD", "T"), ("RUN", ids[0]), ("RUN", ids[1]), ("RUN", ids[2])
    ]  # fmt: skip
    assert {one.project_id for one in added} == {project}
    assert (added[0].start_time or "").startswith("2026-01-02")
    keys = [str(one.id) for one in added]
    assert [str(one.id) for one in items.create(queue, items=told[:2]).items or []] == keys[:2]

    def listed(**more: Any) -> list[Any]:
        return [one.id for one in items.list(queue, **{"status": "needs_my_review", **more})]

    assert listed(page_size=2) == keys
    assert listed(item_type="THREAD") == keys[:1]
    assert listed(min_start_time="2026-01-03T00:00:00Z", max_start_time="2026-01-03T01:00:00Z") == [keys[2]]
    place = items.retrieve_placement(keys[2], queue_id=queue)
    assert (place.section, place.position, place.item_type) == ("needs_my_review", 2, "RUN")
    assert listed(cursor=place.cursor) == keys[2:]
    back = items.list(
        queue, status="needs_my_review", cursor=place.cursor or "", direction="backward", page_size=1
    )
    assert [one.id for one in back.items] == [keys[1]]
    back = back.get_next_page()
    assert [one.id for one in back.items] == [keys[0]]
    assert not back.has_next_page()
    assert in_queue(client, type("Q", (), {"id": queue})) == ids
    with pytest.raises(Exception, match="thread X"):
        items.create(queue, items=[{"item_type": "THREAD", "thread_id": "X", "project_id": project}])


def test_items_are_reviewed_moved_and_taken_out(
    backend: Backend, client: Client, generated: Langsmith
) -> None:
    project, _ = conversation(backend, "T")
    queue, items = (
        str(client.create_annotation_queue(name=name("queue")).id),
        generated.annotation_queues.items,
    )
    told: Any = [{"item_type": "THREAD", "thread_id": "T", "project_id": project}]
    told += [{"run_id": one} for one in runs(backend, 2)]
    keys = [str(one.id) for one in items.create(queue, items=told).items or []]

    def counts() -> list[int | None]:
        kinds = ("all", "needs_my_review", "needs_others_review", "archived")
        return [items.retrieve_count(queue, status=kind).count for kind in kinds]

    assert counts() == [3, 3, 0, 0]
    done = items.create_status(keys[0], status="completed")
    assert (done.is_archived, done.queue_item_id, done.status) == (True, keys[0], "completed")
    assert counts() == [3, 2, 0, 1]
    assert items.retrieve_count(queue, status="archived", end_time="2026-01-01T00:00:00Z").count == 0
    assert items.retrieve_count(queue, status="archived", start_time="2026-01-01T00:00:00Z").count == 1
    assert items.retrieve_placement(keys[0], queue_id=queue).section == "archived"
    assert [one.id for one in items.list(queue, status="archived")] == [keys[0]]
    assert items.create_status(keys[0]).is_archived is False
    assert counts() == [3, 3, 0, 0]
    moved = items.update(keys[0], queue_id=queue, added_at="2999-01-01T00:00:00Z")
    assert (moved.added_at or "").startswith("2999")
    assert [one.id for one in items.list(queue, status="needs_my_review")] == [*keys[1:], keys[0]]
    items.delete_all(queue, item_ids=[keys[0], keys[1], run_id()])
    assert [one.id for one in items.list(queue, status="needs_my_review")] == [keys[2]]


def test_queues_filled_from_sessions_written_out_and_emptied(
    backend: Backend, client: Client, generated: Langsmith
) -> None:
    dataset = client.create_dataset(name("data"))
    project = client.create_project(name("experiment"), reference_dataset_id=dataset.id)
    ids = [run_id() for _ in range(3)]
    child = run_id()
    stamp = "20260102T030405000006Z"
    nested = {"trace_id": ids[0], "parent_run_id": ids[0], "dotted_order": f"{stamp}{ids[0]}.{stamp}{child}"}
    sent = body(*(post(one, str(project.name)) for one in ids), post(child, str(project.name), **nested))
    assert backend.multipart(sent).status_code == 202
    queues = generated.annotation_queues
    first = str(queues.annotation_queues(name=name("queue"), session_ids=[str(project.id)]).id)
    second = str(client.create_annotation_queue(name=name("queue")).id)
    for _ in range(2):
        queues.populate(queue_id=second, session_ids=[str(project.id)])
    for queue in (first, second):
        assert sorted(in_queue(client, type("Q", (), {"id": queue}))) == sorted(ids)
    assert {queue.id for queue in queues.retrieve_queues(ids[0])} == {first, second}
    assert queues.retrieve_queues(child) == []
    client.create_feedback(ids[1], key="good", score=1)
    place = next(one.id for one in queues.items.list(first, status="needs_my_review") if one.run_id == ids[1])
    queues.items.create_status(str(place), status="completed")
    written: Any = queues.export(first)
    assert [(one["id"], one["feedback"][0]["key"]) for one in written] == [(ids[1], "good")]
    assert queues.export(first, end_time="2026-01-01T00:00:00Z") == []
    queues.runs.delete_all(first, run_ids=[ids[0]])
    assert sorted(in_queue(client, type("Q", (), {"id": first}))) == sorted(ids[1:])
    queues.runs.delete_all(first, delete_all=True, exclude_run_ids=[ids[2]])
    assert in_queue(client, type("Q", (), {"id": first})) == [ids[2]]


@pytest.mark.parametrize(
    ("method", "path", "told", "status"),
    [
        ("POST", "/annotation-queues/populate", {"queue_id": NOBODYS, "session_ids": []}, 422),
        ("POST", "/annotation-queues/populate", {"queue_id": NOBODYS, "session_ids": ["x"]}, 422),
        ("POST", "/annotation-queues", {"name": "q", "session_ids": [NOBODYS]}, 404),
        ("POST", f"/annotation-queues/{NOBODYS}/export", {}, 404),
        ("POST", f"/annotation-queues/{NOBODYS}/runs/delete", {}, 422),
        ("POST", f"/annotation-queues/{NOBODYS}/runs/delete", {"delete_all": True}, 404),
        ("GET", f"/platform/annotation-queues/{NOBODYS}/items?status=needs_my_review", None, 404),
        ("GET", f"/platform/annotation-queues/{NOBODYS}/items?status=all", None, 422),
        ("GET", f"/platform/annotation-queues/{NOBODYS}/items?status=archived&page_size=101", None, 422),
        ("GET", f"/platform/annotation-queues/{NOBODYS}/items/count?status=none", None, 422),
        ("GET", f"/platform/annotation-queues/{NOBODYS}/items/{NOBODYS}/placement", None, 404),
        (
            "POST",
            f"/platform/annotation-queues/{NOBODYS}/items",
            {"items": [{"item_type": "THREAD"}]},
            422,
        ),
        ("POST", f"/platform/annotation-queues/items/{NOBODYS}/status", {"status": "odd"}, 422),
    ],
)
def test_what_the_newer_routes_refuse(
    backend: Backend, method: str, path: str, told: Any, status: int
) -> None:
    assert backend.call(method, path, json=told).status_code == status


def test_a_session_that_is_no_experiment_does_not_fill_a_queue(backend: Backend, client: Client) -> None:
    queue, plain = client.create_annotation_queue(name=name("queue")), client.create_project(name("plain"))
    told = {"queue_id": str(queue.id), "session_ids": [str(plain.id)]}
    assert backend.call("POST", "/annotation-queues/populate", json=told).status_code == 422


def test_a_queue_of_an_older_store_keeps_its_runs(tmp_path: Path) -> None:
    scripts = resources.files("evalbackend.store")
    with sqlite3.connect(tmp_path / "store.sqlite") as older:
        for script in ["schema.sql", *(MIGRATIONS[n] for n in range(1, 8))]:
            older.executescript(scripts.joinpath(script).read_text())
        older.execute("PRAGMA user_version = 8")
        older.execute("INSERT INTO meta VALUES ('tenant_id', ?), ('url_secret', 'aa')", (str(uuid.uuid4()),))
        queue, run = str(uuid.uuid4()), run_id()
        older.execute("INSERT INTO annotation_queues VALUES (?, 'q', ?, ?, '{}')", (queue, START, START))
        older.execute("INSERT INTO runs (id, post_n, name, run_type, start_time, session_id, trace_id) "
                      "VALUES (?1, 1, 'r', 'chain', ?2, ?1, ?1)", (run, START))  # fmt: skip
        older.execute("INSERT INTO annotation_queue_runs (id, queue_id, run_id, added_at) VALUES (?1, ?2, ?1, ?3)",
                      (run, queue, START))  # fmt: skip
    older.close()
    (tmp_path / "store.sqlite").chmod(0o600)
    with running(tmp_path / "store.sqlite") as served:
        path = f"/platform/annotation-queues/{queue}/items?status=needs_my_review"
        (item,) = served.call("GET", path).json()["items"]
        assert (item["run_id"], item["start_time"], item["item_type"]) == (run, START, "RUN")
        assert [one["id"] for one in served.call("GET", f"/annotation-queues/{queue}/runs").json()] == [run]
