"""Online evaluators with the generated client: made, read back, changed, listed, deleted."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from langsmith import Langsmith

from tests.support.backend import TOKEN, Backend, running


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("evaluators") / "store.sqlite") as served:
        yield served


def test_evaluators_are_kept(backend: Backend) -> None:
    with Langsmith(api_key=TOKEN, base_url=backend.url) as client:
        api, code = client.online_evaluators, {"code": "def perform_eval(run): ...", "language": "python"}
        made = api.create(name="right", type="code", code_evaluator=code).evaluator  # type: ignore[arg-type]
        assert made is not None
        assert made.id is not None
        read = api.retrieve(made.id)
        assert read == made
        assert read.code_evaluator is not None
        assert (read.name, read.type, read.code_evaluator.code) == ("right", "code", code["code"])
        other = api.create(name="judge", type="llm", llm_evaluator={"prompt_repo_handle": "p"}).evaluator
        assert other is not None
        assert other.id is not None
        changed = api.update(made.id, name="left", code_evaluator={"code": "pass"}).evaluator
        assert changed is not None
        assert changed.code_evaluator is not None
        assert (changed.name, changed.code_evaluator.code) == ("left", "pass")
        assert changed.code_evaluator.language == "python"
        assert [one.id for one in api.list()] == [other.id, made.id]
        assert [one.id for one in api.list(limit=1)] == [other.id, made.id]
        assert [one.id for one in api.list(name_contains="lef")] == [made.id]
        assert [one.id for one in api.list(type="llm")] == [other.id]
        api.delete(made.id)
        missing = str(uuid.uuid4())
        gone = api.bulk_delete(evaluator_ids=[other.id, missing])
        assert gone.succeeded == [other.id]
        assert [one.id for one in gone.failed or []] == [missing]
        assert list(api.list()) == []


@pytest.mark.parametrize(
    ("method", "path", "told", "status"),
    [
        ("POST", "", {"name": "n", "type": "odd"}, 422),
        ("POST", "", {"name": "n", "type": "llm"}, 422),
        ("POST", "", {"type": "code", "code_evaluator": {}}, 422),
        ("POST", "", {"name": "n", "type": "code", "code_evaluator": []}, 422),
        ("PATCH", "/00000000-0000-4000-8000-000000000000", {"name": "n"}, 404),
        ("GET", "/00000000-0000-4000-8000-000000000000", None, 404),
        ("DELETE", "/00000000-0000-4000-8000-000000000000", None, 404),
        ("DELETE", "", None, 422),
        ("GET", "?limit=101", None, 422),
    ],
)
def test_what_is_refused(backend: Backend, method: str, path: str, told: Any, status: int) -> None:
    assert backend.call(method, f"/platform/evaluators{path}", json=told).status_code == status


def test_an_example_is_deleted_from_its_dataset(backend: Backend) -> None:
    with backend.client() as older, Langsmith(api_key=TOKEN, base_url=backend.url) as client:
        dataset, other = (older.create_dataset(f"data-{uuid.uuid4().hex[:8]}") for _ in range(2))
        kept, gone = (older.create_example(inputs={"n": n}, dataset_id=dataset.id) for n in range(2))
        client.datasets.examples.delete(str(gone.id), dataset_id=str(dataset.id))
        for where in (dataset.id, other.id):
            path = f"/platform/datasets/{where}/examples/{gone.id if where == dataset.id else kept.id}"
            assert backend.call("DELETE", path).status_code == 404
        assert [one.id for one in older.list_examples(dataset_id=dataset.id)] == [kept.id]
