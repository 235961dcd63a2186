"""Feedback that is changed, given by token, and configured: what the SDK writes, it reads back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from langsmith import utils as ls_utils

from tests.support.backend import Backend, body, post, run_id, running


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("feedback") / "backend.db") as served:
        yield served


def written(backend: Backend) -> str:
    run = str(run_id())
    assert backend.multipart(body(post(run, "s"))).status_code == 202
    return run


def test_feedback_is_read_changed_and_deleted(backend: Backend) -> None:
    with backend.client() as client:
        run, feedback = written(backend), uuid.uuid4()
        session = client.read_project(project_name="s").id
        client.create_feedback(
            run, "good", score=0.5, comment="so so", trace_id=run, feedback_id=feedback, session_id=session
        )
        client.flush()
        first = client.read_feedback(feedback)
        assert (str(first.run_id), first.key, first.score, first.comment) == (run, "good", 0.5, "so so")
        client.update_feedback(feedback, score=1, value="fine", correction={"y": 2})
        second = client.read_feedback(feedback)
        assert (second.score, second.value, second.correction) == (1, "fine", {"y": 2})
        assert (second.comment, second.created_at, str(second.trace_id)) == ("so so", first.created_at, run)
        assert first.modified_at is not None
        assert second.modified_at is not None
        assert second.modified_at > first.modified_at
        stats = backend.call("GET", f"/runs/{run}").json()["feedback_stats"]["good"]
        assert (stats["n"], stats["avg"], stats["values"]) == (1, 1.0, {"fine": 1})
        client.delete_feedback(feedback)
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            client.read_feedback(feedback)
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            client.update_feedback(feedback, score=0)
        assert backend.call("PATCH", f"/feedback/{run_id()}", json={"score": "x"}).status_code == 404


def test_records_of_errors_are_counted_as_such(backend: Backend) -> None:
    with backend.client() as client:
        run = written(backend)
        session = client.read_project(project_name="s").id
        for score, error in ((1, False), (None, True), (None, False), (0, True)):
            client.create_feedback(run, "judged", score=score, error=error, trace_id=run, session_id=session)
        client.flush()
        stats = backend.call("GET", f"/runs/{run}").json()["feedback_stats"]["judged"]
        assert (stats["n"], stats["errors"], stats["avg"]) == (4, 1, 0.5)


@pytest.mark.parametrize("suffix", ["", "/api/v1"])
def test_feedback_is_given_by_token(backend: Backend, suffix: str) -> None:
    with backend.client(api_url=backend.url + suffix) as client:
        run, feedback = written(backend), uuid.uuid4()
        token = client.create_presigned_feedback_token(run, "thumbs", feedback_id=feedback)
        assert token.url.startswith(f"{backend.url}{suffix}/feedback/tokens/")
        assert timedelta(hours=2) < token.expires_at - datetime.now(timezone.utc) <= timedelta(hours=3)
        client.create_feedback_from_token(token.url, score=1, comment="great", metadata={"by": "ann"})
        told = client.read_feedback(feedback)
        assert (str(told.run_id), told.key, told.score, told.comment) == (run, "thumbs", 1, "great")
        assert told.feedback_source is not None
        assert told.feedback_source.metadata == {"by": "ann"}
        client.create_feedback_from_token(token.url, score=0)  # somebody else, by the same link
        assert client.read_feedback(feedback).score == 1
        assert sorted(f.score or 0 for f in client.list_feedback(run_ids=[run], feedback_key=["thumbs"])) == [
            0,
            1,
        ]
        several = client.create_presigned_feedback_tokens(run, ["a", "b"], expiration=timedelta(minutes=5))
        listed = list(client.list_presigned_feedback_tokens(run))
        assert {one.id for one in listed} == {token.id, *(one.id for one in several)}
        link = requests.get(several[0].url, params={"score": "0.5", "comment": "by link"}, timeout=60)
        assert link.status_code == 200
        (given,) = client.list_feedback(run_ids=[run], feedback_key=["a"])
        assert (given.score, given.comment, str(given.trace_id)) == (0.5, "by link", run)


def test_tokens_end_and_are_refused(backend: Backend) -> None:
    with backend.client() as client:
        past = datetime.now(timezone.utc) - timedelta(seconds=1)
        token = client.create_presigned_feedback_token(written(backend), "late", expiration=past)
        assert requests.post(token.url, json={"score": 1}, timeout=60).status_code == 403
        asked: list[Any] = [{"run_id": "x", "feedback_key": "a"}, {"run_id": run_id()}, ["a"], 7,
                            {"run_id": run_id(), "feedback_key": "a", "expires_in": {"days": "x"}},
                            {"run_id": run_id(), "feedback_key": "a", "expires_in": {"days": 10**9}}]  # fmt: skip
        for one in asked:
            assert backend.call("POST", "/feedback/tokens", json=one).status_code == 422, one
        unknown = f"{backend.url}/feedback/tokens/{uuid.uuid4()}"
        assert requests.post(unknown, json={"score": 1}, timeout=60).status_code == 404
        assert requests.post(f"{backend.url}/feedback/tokens", json=asked[0], timeout=60).status_code == 401
        good = client.create_presigned_feedback_token(written(backend), "k")
        assert requests.get(good.url, params={"score": "x"}, timeout=60).status_code == 422


def test_feedback_is_configured(backend: Backend) -> None:
    stars: Any = {"type": "continuous", "min": 0.0, "max": 5.0}
    with backend.client() as client:
        made = client.create_feedback_config("stars", feedback_config=stars, is_lower_score_better=True)
        assert (made.feedback_config, made.is_lower_score_better, made.is_enforced) == (stars, True, False)
        same = client.create_feedback_config("stars", feedback_config=stars)
        assert (same.modified_at, same.is_lower_score_better) == (made.modified_at, True)
        with pytest.raises(ls_utils.LangSmithError, match="different configuration"):
            client.create_feedback_config("stars", feedback_config={"type": "freeform"})
        changed = client.update_feedback_config("stars", is_lower_score_better=False)
        assert (changed.feedback_config, changed.is_lower_score_better) == (stars, False)
        client.update_feedback_config("stars", feedback_config={"type": "continuous", "max": 9})
        categories: Any = {"type": "categorical", "categories": [{"value": 1, "label": "yes"}]}
        client.create_feedback_config("kind", feedback_config=categories)
        listed = {one.feedback_key: one.feedback_config for one in client.list_feedback_configs()}
        assert listed == {"kind": categories, "stars": {"type": "continuous", "max": 9}}
        assert [one.feedback_key for one in client.list_feedback_configs(name_contains="tar")] == ["stars"]
        assert [one.feedback_key for one in client.list_feedback_configs(feedback_key=["kind"])] == ["kind"]
        client.delete_feedback_config("stars")
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            client.update_feedback_config("stars", is_lower_score_better=True)
        token = {"run_id": run_id(), "feedback_key": "fresh", "feedback_config": stars}
        assert backend.call("POST", "/feedback/tokens", json=token).status_code == 200
        assert [one.feedback_key for one in client.list_feedback_configs()] == ["fresh", "kind"]


def test_categories_come_and_go(backend: Backend) -> None:
    def patch(status: int, **told: Any) -> Any:
        answer = backend.call("PATCH", "/feedback-configs", json={"feedback_key": "topic", **told})
        assert answer.status_code == status, answer.text
        return answer.json()

    one, two, three = ({"value": value, "label": f"l{value}"} for value in (1, 2, 3))
    config = {"type": "categorical", "categories": [one, two], "allows_multiple_categories": True}
    made = backend.call(
        "POST", "/feedback-configs", json={"feedback_key": "topic", "feedback_config": config}
    )
    added = patch(200, add_categories=[three], id=made.json()["id"])
    assert added["feedback_config"] == config | {"categories": [one, two, three]}
    assert patch(200, remove_categories=[1])["feedback_config"] == config | {"categories": [two, three]}
    patch(422, remove_categories=[2])  # two have to stay
    patch(422, add_categories=[{"value": 2, "label": "new"}])
    patch(422, add_categories=[{"value": 9, "label": "l2"}])
    patch(422, add_categories=[{"label": "no value"}])
    patch(422, add_categories={"value": 9})
    patch(422, remove_categories=3)
    patch(404, add_categories=[one], id=str(uuid.uuid4()))
    patch(404, feedback_key="nobody", add_categories=[one])
    backend.call(
        "POST", "/feedback-configs", json={"feedback_key": "free", "feedback_config": {"type": "freeform"}}
    )
    patch(422, feedback_key="free", add_categories=[one])
    assert backend.call("DELETE", "/feedback-configs", params={"feedback_key": "free"}).status_code == 204
    assert patch(200, is_lower_score_better=True)["feedback_config"] == config | {"categories": [two, three]}
    where = {"id": added["id"]}
    assert backend.call("DELETE", "/feedback-configs", params=where).status_code == 204
    assert backend.call("DELETE", "/feedback-configs", params=where).status_code == 404


@pytest.mark.parametrize("config", [None, {}, {"type": "loud"}, {"type": "continuous", "min": "low"},
                                    {"type": "continuous", "min": 2, "max": 1}, {"type": "categorical"},
                                    {"type": "categorical", "categories": "all"}])  # fmt: skip
def test_configurations_that_are_none(backend: Backend, config: Any) -> None:
    asked = {"feedback_key": "odd", "feedback_config": config}
    assert backend.call("POST", "/feedback-configs", json=asked).status_code == 422


ODD = ["x", 5, 1.5, True, [1], [], {"a": 1}, {}, None, 2**70]


@pytest.mark.parametrize(
    "field",
    ["value", "comment", "correction", "feedback_source", "extra", "feedback_group_id", "start_time", "error",
     "feedback_source.type", "feedback_source.metadata", "feedback_source.user_id", "feedback_config"],
)  # fmt: skip
def test_what_is_taken_in_can_be_read_by_everybody(backend: Backend, field: str) -> None:
    """One odd feedback, from curl say, kept the SDK from reading a whole page."""
    run = written(backend)
    name, _, inner = field.partition(".")
    answers = [
        backend.call(
            "POST", "/feedback", json={"run_id": run, "key": "k", name: {inner: one} if inner else one}
        )
        for one in ODD
    ]
    taken = [one.json()["id"] for one in answers if one.status_code == 200]
    assert {one.status_code for one in answers} <= {200, 422}
    with backend.client() as client:
        assert {str(one.id) for one in client.list_feedback(run_ids=[run])} == set(taken)
    if field == "feedback_source":
        assert {one.json()["feedback_source"]["type"] for one in answers[6:8]} == {"api"}
