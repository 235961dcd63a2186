"""Feedback: on runs and on projects, in requests of its own and with the runs, by token, configured."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from langsmith import RunTree
from langsmith import utils as ls_utils

from tests.evalbackend.acceptance.seen import Seen
from tests.evalbackend.acceptance.world import QUIET, World, name

pytestmark = QUIET


def traced(world: World) -> tuple[str, Seen]:
    """(project, its only run)."""
    project = name("judged")
    run = RunTree(name="r", inputs={}, ls_client=world.client, project_name=project)
    run.post()
    run.end(outputs={"a": 1})
    run.patch()
    (seen,) = world.landed(project, 1)
    return project, seen


def test_feedback_on_runs(world: World) -> None:
    client, (project, run) = world.client, traced(world)
    told: dict[str, Any] = {"session_id": run.session_id, "start_time": run.start_time}
    alone = client.create_feedback(run.id, "alone", score=0.5, comment="so so", **told)
    within = uuid.uuid4()
    client.create_feedback(run.id, "within", value="fine", trace_id=run.trace_id, feedback_id=within, **told)
    client.flush()
    found = world.soon(lambda: list(client.list_feedback(run_ids=[run.id])), lambda some: len(some) == 2)
    assert {f.id: (f.key, f.score, f.value, f.comment, str(f.run_id)) for f in found} == {
        alone.id: ("alone", 0.5, None, "so so", run.id), within: ("within", None, "fine", None, run.id),
    }  # fmt: skip
    assert world.runs(project)[0].scores["alone"] == (1, 0.5)
    client.update_feedback(alone.id, score=1, correction={"y": 2})
    read = client.read_feedback(alone.id)
    assert (read.score, read.correction, read.comment) == (1, {"y": 2}, "so so")
    assert world.runs(project)[0].scores["alone"] == (1, 1.0)
    client.delete_feedback(alone.id)
    assert [f.id for f in client.list_feedback(run_ids=[run.id])] == [within]
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.read_feedback(alone.id)
    assert set(world.runs(project)[0].scores) == {"within"}


def test_feedback_on_projects(sample: World) -> None:
    client, project = sample.client, sample.client.create_project(name("p"))
    client.create_feedback(None, "whole", score=3, project_id=project.id)
    stats = client.read_project(project_id=str(project.id), include_stats=True).session_feedback_stats or {}
    assert {key: (one["n"], one["avg"]) for key, one in stats.items()} == {"whole": (1, 3)}


def test_feedback_by_token(sample: World) -> None:
    client, (_, run), feedback = sample.client, traced(sample), uuid.uuid4()
    token = client.create_presigned_feedback_token(run.id, "thumbs", feedback_id=feedback)
    several = client.create_presigned_feedback_tokens(run.id, ["a", "b"])
    assert {t.id for t in client.list_presigned_feedback_tokens(run.id)} == {
        token.id,
        *(t.id for t in several),
    }
    client.create_feedback_from_token(token.url, score=1, comment="great")
    client.create_feedback_from_token(several[1].url, value="v")
    read = client.read_feedback(feedback)
    assert (read.key, read.score, read.comment, str(read.run_id)) == ("thumbs", 1, "great", run.id)
    assert {f.key: f.value for f in client.list_feedback(run_ids=[run.id])} == {"thumbs": None, "b": "v"}


def test_feedback_is_configured(sample: World) -> None:
    client, key = sample.client, name("stars")
    config: Any = {"type": "continuous", "min": 0.0, "max": 5.0}
    client.create_feedback_config(key, feedback_config=config, is_lower_score_better=True)
    (read,) = client.list_feedback_configs(feedback_key=[key])
    assert (read.feedback_config, read.is_lower_score_better) == (config, True)
    client.update_feedback_config(key, feedback_config=config | {"max": 9.0})
    (read,) = client.list_feedback_configs(name_contains=key[2:])
    assert read.feedback_config["max"] == 9
    client.delete_feedback_config(key)
    assert list(client.list_feedback_configs(feedback_key=[key])) == []


def test_categories_come_and_go_where_the_sdk_can(sample: World) -> None:
    client, key = sample.client, name("topic")
    some: Any = [{"value": float(value), "label": f"l{value}"} for value in range(4)]
    client.create_feedback_config(key, feedback_config={"type": "categorical", "categories": some[:2]})
    if hasattr(client, "add_feedback_categories") and hasattr(
        client, "remove_feedback_categories"
    ):  # from 0.15 on; test_backend_feedback asks without the SDK
        client.add_feedback_categories(key, some[2:])
        client.remove_feedback_categories(key, [0.0])
        (read,) = client.list_feedback_configs(feedback_key=[key])
        assert read.feedback_config["categories"] == some[1:]
    client.delete_feedback_config(key)
