"""Datasets with JSON schemas: examples that do not keep to them are refused, by every way in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import orjson
import pytest
from backend_fixtures import Backend, body, part, run_id, running  # type: ignore[import-not-found]
from langsmith import utils as ls_utils

QUESTION = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
ANSWER = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "integer"}}}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("schemas") / "store.sqlite") as one:
        yield one


@pytest.fixture
def dataset(backend: Backend) -> str:
    return str(made(backend, QUESTION, ANSWER)["id"])


def made(backend: Backend, inputs: Any = None, outputs: Any = None, status: int = 200) -> dict[str, Any]:
    told = {"inputs_schema_definition": inputs, "outputs_schema_definition": outputs}
    answer = backend.call("POST", "/datasets", json={"name": run_id(), **told})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def count(backend: Backend, dataset: str) -> int:
    return len(backend.call("GET", f"/examples?dataset={dataset}").json())


def test_the_sdk_is_told_what_is_wrong_and_nothing_is_written(backend: Backend) -> None:
    with backend.client() as client:
        name = client.create_dataset(run_id(), inputs_schema=QUESTION, outputs_schema=ANSWER).id
        with pytest.raises(ls_utils.LangSmithError, match=r"\$\.q: 1 is not of type"):
            client.create_examples(dataset_id=name, examples=[{"inputs": {"q": "?"}}, {"inputs": {"q": 1}}])
        assert list(client.list_examples(dataset_id=name)) == []
        client.create_examples(dataset_id=name, examples=[{"inputs": {"q": "?"}, "outputs": {"a": 1}}])
        (example,) = client.list_examples(dataset_id=name)
        with pytest.raises(ls_utils.LangSmithError, match=r"\$\.a"):
            client.update_example(example.id, outputs={"a": "one"})
        client.update_example(example.id, metadata={"seen": True})
        assert client.read_example(example.id).outputs == {"a": 1}


@pytest.mark.parametrize("bad", [{"inputs": {}}, {"inputs": {"q": "?"}, "outputs": {"a": "one"}}])
def test_every_way_to_create_is_checked(backend: Backend, dataset: str, bad: dict[str, Any]) -> None:
    example = run_id()
    fields = [part(f"{example}.{name}", value) for name, value in bad.items()]
    form = body(part(example, {"dataset_id": dataset}), *fields)
    kind = {"headers": {"content-type": "multipart/form-data; boundary=frontier"}, "data": form}
    answers = [
        backend.call("POST", "/examples", json={"dataset_id": dataset, **bad}),
        backend.call("POST", "/examples/bulk", json=[{"dataset_id": dataset, **bad}]),
        backend.call("POST", f"/platform/datasets/{dataset}/examples", **kind),
        backend.call("POST", "/platform/examples/multipart", **kind),
    ]
    assert [answer.status_code for answer in answers] == [422] * 4
    assert all("the dataset's schema" in answer.json()["detail"] for answer in answers)
    assert count(backend, dataset) == 0


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"properties": {"q": {"pattern": "("}}},
        {"$ref": "http://127.0.0.1/schema.json"},
        {"properties": {"q": {"$ref": "file:///etc/passwd"}}},
    ],
)
def test_what_is_no_schema_or_lies_elsewhere_is_refused(backend: Backend, schema: dict[str, Any]) -> None:
    assert "inputs_schema_definition" in made(backend, schema, status=422)["detail"]
    dataset = made(backend)["id"]
    answer = backend.call("PATCH", f"/datasets/{dataset}", json={"outputs_schema_definition": schema})
    assert answer.status_code == 422


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "#/$defs/none"}, {"$ref": "elsewhere.json"}])
def test_a_schema_that_leads_nowhere_is_a_422(backend: Backend, schema: dict[str, Any]) -> None:
    dataset = made(backend, schema)["id"]
    answer = backend.call("POST", "/examples", json={"dataset_id": dataset, "inputs": {}})
    assert answer.status_code == 422
    assert "not whole in itself" in answer.json()["detail"]


def test_nothing_is_fetched_even_if_it_could_be(backend: Backend) -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(orjson.dumps({"type": "object"}))

    with HTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        place = f"http://127.0.0.1:{other.server_port}"
        made(backend, {"$ref": f"{place}/x"}, status=422)
        dataset = made(backend, {"$id": f"{place}/root", "$ref": "x"})["id"]
        answer = backend.call("POST", "/examples", json={"dataset_id": dataset, "inputs": {}})
        other.shutdown()
        thread.join()
    assert answer.status_code == 422
    assert asked == []


def test_a_schema_taken_away_no_longer_holds(backend: Backend, dataset: str) -> None:
    backend.call("PATCH", f"/datasets/{dataset}", json={"inputs_schema_definition": None})
    answer = backend.call("POST", "/examples", json={"dataset_id": dataset, "inputs": {"q": 1}})
    assert answer.status_code == 200, answer.text
    assert count(backend, dataset) == 1
