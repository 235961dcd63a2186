"""Projects: made, found, changed, deleted."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone

import pytest
from langsmith import utils as ls_utils

from tests.evalbackend.acceptance.world import QUIET, World, name

pytestmark = QUIET
NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)


def test_projects(sample: World) -> None:
    client = sample.client
    dataset = sample.filled(1)
    made = client.create_project(
        name("p"), reference_dataset_id=dataset.id, metadata={"a": 1}, description="d",
        num_examples=1, num_repetitions=2, evaluator_keys=["k"],
    )  # fmt: skip
    with pytest.raises(ls_utils.LangSmithConflictError):
        client.create_project(str(made.name))
    assert client.create_project(str(made.name), upsert=True).id == made.id
    client.update_project(made.id, metadata={"b": 2}, end_time=NOW, description="e")
    read = client.read_project(project_id=str(made.id), include_stats=True)
    assert (read.name, read.description, read.metadata, read.end_time) == (made.name, "e", {"b": 2}, NOW)
    assert (read.reference_dataset_id, read.run_count) == (dataset.id, 0)
    assert asyncio.run(client.aread_project(project_id=str(made.id))).metadata == {"b": 2}
    found = list(client.list_projects(reference_dataset_id=dataset.id))
    assert [(project.id, project.name) for project in found] == [(made.id, made.name)]
    assert [p.id for p in client.list_projects(name_contains=str(made.name)[2:])] == [made.id]
    assert [p.id for p in client.list_projects(metadata={"b": 2}, name=str(made.name))] == [made.id]
    client.update_project(made.id, name=f"{made.name}!")
    assert client.has_project(f"{made.name}!")
    assert not client.has_project(str(made.name))
    client.delete_project(project_name=f"{made.name}!")
    assert not client.has_project(f"{made.name}!")
    assert list(client.list_projects(reference_dataset_id=dataset.id)) == []
