"""Datasets: made, found, versioned, tagged, split, shared, cloned, uploaded, deleted."""

from __future__ import annotations

import io
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from langsmith import utils as ls_utils
from langsmith.schemas import DataType

from tests.evalbackend.acceptance.world import QUIET, World, name
from tests.support.backend import running

pytestmark = QUIET


def xs(examples: Any) -> list[int]:
    return [example.inputs["x"] for example in examples]


def test_datasets(sample: World) -> None:
    client, schema = sample.client, {"type": "object", "properties": {"x": {"type": "integer"}}}
    made = client.create_dataset(name("data"), description="d", metadata={"kind": "t"}, inputs_schema=schema)
    with pytest.raises(ls_utils.LangSmithConflictError):
        client.create_dataset(made.name)
    client.create_examples(dataset_id=made.id, examples=[{"inputs": {"x": x}} for x in range(3)])
    read = client.read_dataset(dataset_name=made.name)
    assert (read.id, read.description, read.example_count) == (made.id, "d", 3)
    assert ((read.metadata or {})["kind"], read.inputs_schema) == ("t", schema)
    assert client.has_dataset(dataset_id=made.id)
    assert [d.id for d in client.list_datasets(dataset_name_contains=made.name[3:])] == [made.id]
    assert [d.id for d in client.list_datasets(dataset_ids=[made.id], metadata={"kind": "t"})] == [made.id]
    project = client.create_project(name("p"), reference_dataset_id=made.id)
    client.delete_dataset(dataset_id=made.id)
    assert not client.has_dataset(dataset_id=made.id)
    assert list(client.list_examples(example_ids=[uuid.uuid4()])) == []
    assert not client.has_project(str(project.name))


def test_versions_tags_and_splits(sample: World) -> None:
    client, dataset = sample.client, sample.filled(3)
    first, second, third = client.list_examples(dataset_id=dataset.id)
    assert first.modified_at is not None
    client.update_dataset_tag(dataset_id=dataset.id, as_of=first.modified_at, tag="old")
    client.update_example(first.id, inputs={"x": 9})
    client.delete_example(second.id)
    added = client.create_example({"x": 7}, dataset_id=dataset.id)
    assert len(list(client.list_dataset_versions(dataset_id=dataset.id))) == 4
    assert client.read_dataset_version(dataset_id=dataset.id, tag="old").as_of == first.modified_at
    told = client.diff_dataset_versions(dataset_id=dataset.id, from_version="old", to_version="latest")
    assert (told.examples_modified, told.examples_removed, told.examples_added) == (
        [first.id], [second.id], [added.id],
    )  # fmt: skip
    assert xs(client.list_examples(dataset_id=dataset.id, as_of="old")) == [0, 1, 2]
    assert xs(client.list_examples(dataset_id=dataset.id)) == [9, 2, 7]
    client.update_dataset_splits(dataset_id=dataset.id, split_name="hard", example_ids=[third.id])
    assert client.list_dataset_splits(dataset_id=dataset.id) == ["base", "hard"]
    assert xs(client.list_examples(dataset_id=dataset.id, splits=["hard"])) == [2]
    client.update_dataset_splits(
        dataset_id=dataset.id, split_name="hard", example_ids=[third.id], remove=True
    )
    assert client.list_dataset_splits(dataset_id=dataset.id) == ["base"]


def test_files_and_frames_become_datasets(sample: World) -> None:
    client = sample.client
    made = client.upload_csv(("x.csv", io.BytesIO(b"q,a\n1,2\n3,4\n")), ["q"], ["a"], name=name("csv"))
    frame = pd.DataFrame({"q": ["1", "3"], "a": ["2", "4"]})
    other = client.upload_dataframe(frame, name("frame"), ["q"], ["a"], description="d")
    for dataset in (made, other):
        rows = [(e.inputs, e.outputs) for e in client.list_examples(dataset_name=dataset.name)]
        assert rows == [({"q": "1"}, {"a": "2"}), ({"q": "3"}, {"a": "4"})]
    assert client.read_dataset(dataset_id=other.id).description == "d"


def test_llm_and_chat_datasets(sample: World) -> None:
    client = sample.client
    llm = client.create_dataset(name("llm"), data_type=DataType.llm)
    one = client.create_llm_example("prompt", "generation", dataset_id=llm.id)
    read = client.read_example(one.id)
    assert (read.inputs, read.outputs) == ({"input": "prompt"}, {"output": "generation"})
    chat = client.create_dataset(name("chat"), data_type=DataType.chat)
    said: list[Any] = [
        {"type": "human", "data": {"content": "hi"}},
        {"type": "ai", "data": {"content": "ho"}},
    ]
    client.create_chat_example(said[:1], said[1], dataset_id=chat.id)
    (two,) = client.list_examples(dataset_id=chat.id)
    assert (two.inputs, two.outputs) == ({"input": said[:1]}, {"output": said[1]})
    assert client.read_dataset_openai_finetuning(dataset_id=chat.id) == [
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}
    ]


def test_a_shared_dataset(sample: World) -> None:
    client, dataset = sample.client, sample.filled(3)
    project = client.create_project(name("p"), reference_dataset_id=dataset.id)
    token = str(client.share_dataset(dataset_id=dataset.id)["share_token"])
    assert client.read_dataset_shared_schema(dataset_id=dataset.id)["share_token"] == token
    with sample.backend.client(api_url=client.api_url, api_key="nobody") as stranger:
        assert stranger.read_shared_dataset(token).id == dataset.id
        assert xs(stranger.list_shared_examples(token)) == [0, 1, 2]
        assert [p.id for p in stranger.list_shared_projects(dataset_share_token=token)] == [project.id]
        client.unshare_dataset(dataset.id)
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            stranger.read_shared_dataset(token)


def test_a_shared_dataset_is_cloned(sample: World, tmp_path: Path) -> None:
    with running(tmp_path / "other.db") as other, other.client() as theirs:
        dataset = theirs.create_dataset(name("public"), description="d")
        theirs.create_examples(dataset_id=dataset.id, examples=[{"inputs": {"x": x}} for x in range(3)])
        token = str(theirs.share_dataset(dataset_id=dataset.id)["share_token"])
        sample.client.clone_public_dataset(token, source_api_url=other.url + sample.axes.prefix)
    clone = sample.client.read_dataset(dataset_name=dataset.name)
    assert clone.description == "d"
    assert sorted(xs(sample.client.list_examples(dataset_id=clone.id))) == [0, 1, 2]
