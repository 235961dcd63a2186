"""Annotation queues: made, filled, read, changed, emptied, deleted."""

from __future__ import annotations

import uuid

import pytest
from langsmith import utils as ls_utils
from langsmith.client import ID_TYPE
from langsmith.schemas import RunKey

from tests.evalbackend.acceptance.world import QUIET, World, name
from tests.support.backend import body, post, run_id

pytestmark = QUIET


def test_queues(sample: World) -> None:
    client, wanted = sample.client, uuid.uuid4()
    made = client.create_annotation_queue(
        name=name("queue"), description="d", queue_id=wanted, rubric_instructions="look",
        rubric_items=[{"feedback_key": "good", "is_required": True}],
    )  # fmt: skip
    assert client.read_annotation_queue(wanted).description == "d"
    assert sample.api.annotation_queues.retrieve(str(wanted)).rubric_items[0].feedback_key == "good"
    assert [q.id for q in client.list_annotation_queues(name=made.name)] == [wanted]
    client.update_annotation_queue(wanted, name=f"{made.name}!", description="e")
    changed = client.read_annotation_queue(wanted)
    assert (changed.name, changed.description) == (f"{made.name}!", "e")
    client.delete_annotation_queue(wanted)
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.read_annotation_queue(wanted)
    assert list(client.list_annotation_queues(queue_ids=[wanted])) == []


def test_runs_of_a_queue(sample: World) -> None:
    client, project = sample.client, name("queued")
    queue, ids = client.create_annotation_queue(name=name("queue")), [run_id() for _ in range(4)]
    sent = sample.backend.multipart(body(*(post(one, project, inputs={"n": n}) for n, one in enumerate(ids))))
    assert sent.status_code == 202
    seen = {run.id: run for run in sample.landed(project, 4)}
    first: list[ID_TYPE] = [*ids[:2]]
    client.add_runs_to_annotation_queue(queue.id, run_ids=first)
    keys = [
        RunKey(run_id=one, session_id=seen[one].session_id, start_time=seen[one].start_time.isoformat())
        for one in ids[2:]
    ]
    client.add_runs_to_annotation_queue(queue.id, runs=keys)
    assert [str(run.id) for run in client.list_runs_from_annotation_queue(queue.id)] == ids
    one = client.get_run_from_annotation_queue(queue.id, index=1)
    assert (str(one.id), one.inputs) == (ids[1], {"n": 1})
    client.delete_run_from_annotation_queue(queue.id, run_id=ids[1])
    assert [str(run.id) for run in client.list_runs_from_annotation_queue(queue.id)] == [ids[0], *ids[2:]]
