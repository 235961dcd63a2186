"""Examples by each way the SDK has: what was written, kept, renamed, dropped, deleted is what is read back."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from langsmith import utils as ls_utils
from langsmith.schemas import (
    AttachmentsOperations,
    Example,
    ExampleCreate,
    ExampleUpdate,
    ExampleUpsertWithAttachments,
)

from tests.evalbackend.acceptance.world import QUIET, World, name
from tests.support.backend import body, post, run_id

pytestmark = QUIET
FILES = {"a.txt": ("text/plain", b"one\r\n--x"), "b": ("image/png", bytes(range(256)))}


def content(example: Example) -> tuple[Any, Any, Any]:
    return example.inputs, example.outputs, example.metadata


def files(world: World, example_id: Any) -> dict[str, tuple[str | None, bytes]]:
    example = world.client.read_example(example_id)
    return {k: (v["mime_type"], v["reader"].read()) for k, v in (example.attachments or {}).items()}


def test_one_example(sample: World) -> None:
    client = sample.client
    dataset = client.create_dataset(name("data"))
    one = client.create_example(
        {"q": 1}, outputs={"a": 2}, dataset_id=dataset.id, metadata={"m": 3}, split=["s"], attachments=FILES
    )
    assert content(client.read_example(one.id)) == ({"q": 1}, {"a": 2}, {"m": 3, "dataset_split": ["s"]})
    assert files(sample, one.id) == FILES
    client.update_example(one.id, outputs={"a": 4}, split="t")
    assert content(client.read_example(one.id)) == ({"q": 1}, {"a": 4}, {"m": 3, "dataset_split": ["t"]})
    (listed,) = client.list_examples(dataset_id=dataset.id, metadata={"m": 3}, include_attachments=True)
    assert {k: v["reader"].read() for k, v in (listed.attachments or {}).items()} == {
        key: data for key, (_, data) in FILES.items()
    }
    client.delete_example(one.id)
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.read_example(one.id)


def test_many_examples(sample: World) -> None:
    client, dataset = sample.client, sample.filled(150)
    examples = list(client.list_examples(dataset_id=dataset.id))
    assert [((e.inputs or {})["x"], (e.outputs or {})["y"]) for e in examples] == [
        (x, 2 * x) for x in range(150)
    ]
    updates = [
        ExampleUpdate.model_validate({"id": e.id, "outputs": {"y": n}}) for n, e in enumerate(examples[:2])
    ]
    client.update_examples(dataset_id=dataset.id, updates=updates)
    assert [client.read_example(e.id).outputs for e in examples[:2]] == [{"y": 0}, {"y": 1}]
    client.delete_examples([e.id for e in examples[:100]])
    left = [e.id for e in client.list_examples(dataset_id=dataset.id)]
    assert left == [e.id for e in examples[100:]]
    assert client.read_example(examples[0].id, as_of=examples[0].modified_at).inputs == {"x": 0}
    client.delete_examples([examples[0].id, left[0]], hard_delete=True)
    then = list(client.list_examples(dataset_id=dataset.id, as_of=examples[0].modified_at))
    assert {e.id for e in then} == {e.id for e in examples} - {examples[0].id, left[0]}


def test_multipart_calls(sample: World) -> None:
    client, (first, second, third) = sample.client, (uuid.uuid4() for _ in range(3))
    dataset = client.create_dataset(name("data"))
    rows: list[dict[str, Any]] = [
        {"id": first, "inputs": {"q": 1}, "attachments": FILES},
        {"id": second, "inputs": {"q": 2}},
    ]
    made = [ExampleCreate.model_validate(row) for row in rows]
    client.upload_examples_multipart(dataset_id=dataset.id, uploads=made)
    assert files(sample, first) == FILES
    kept = AttachmentsOperations(rename={"b": "c"}, retain=[])
    change = ExampleUpdate.model_validate(
        {
            "id": first,
            "outputs": {"a": 1},
            "attachments": {"d": ("text/css", b"")},
            "attachments_operations": kept,
        }
    )
    client.update_examples_multipart(dataset_id=dataset.id, updates=[change])
    assert files(sample, first) == {"c": FILES["b"], "d": ("text/css", b"")}
    upserts = [
        ExampleUpsertWithAttachments(id=one, dataset_id=dataset.id, inputs={"q": 9})
        for one in (second, third)
    ]
    client.upsert_examples_multipart(upserts=upserts)
    read = {e.id: (e.inputs, e.outputs) for e in client.list_examples(dataset_id=dataset.id)}
    assert read == {first: ({"q": 1}, {"a": 1}), second: ({"q": 9}, None), third: ({"q": 9}, None)}


def test_examples_from_runs(sample: World) -> None:
    project, run = name("source"), run_id()
    assert (
        sample.backend.multipart(body(post(run, project, inputs={"i": 1}, outputs={"o": 2}))).status_code
        == 202
    )
    (seen,) = sample.landed(project, 1)
    told: dict[str, Any] = (
        {} if sample.older else {"project_id": seen.session_id, "start_time": seen.start_time}
    )
    dataset = sample.client.create_dataset(name("data"))
    sample.client.create_example_from_run(sample.client.read_run(run, **told), dataset_id=dataset.id)
    rows: list[ExampleCreate | dict[str, Any]] = [
        {"source_run_id": run, "use_source_run_io": True, "inputs": None}
    ]
    sample.client.create_examples(dataset_id=dataset.id, examples=rows)
    read = [
        (e.inputs, e.outputs, str(e.source_run_id))
        for e in sample.client.list_examples(dataset_id=dataset.id)
    ]
    assert read == [({"i": 1}, {"o": 2}, "None"), ({"i": 1}, {"o": 2}, run)]  # the first call names no source
