"""Datasets with JSON schemas: examples that do not keep to them are refused, by every way in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import orjson
import pytest
from langsmith import utils as ls_utils

from tests.support.backend import Backend, body, part, post, run_id, running

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


_HALVING = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
_NAMES = {"patternProperties": {"^(?=a)(?:(?!b)a+)+$": False}}
_ENDLESS: dict[str, tuple[Any, Any]] = {
    "pattern": ({"properties": {"q": {"pattern": "^(?:(?!b)a+)+$"}}}, {"q": "a" * 1000 + "!"}),
    "names": (_NAMES, {"a" * 1000 + "!": 1}),
    "further names": ({**_NAMES, "additionalProperties": False}, {"a" * 1000 + "!": 1}),
    "declared again": (
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"q": {"$ref": "#/$defs/p"}},
         "$defs": {"p": {"$schema": "https://json-schema.org/draft/2020-12/schema",
                         "pattern": "^(?:(?!b)a+)+$"}}},
        {"q": "a" * 1000 + "!"},
    ),
    "references": ({"$defs": {**_HALVING, "d40": {"type": "string"}}, "$ref": "#/$defs/d0"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", _ENDLESS)
def test_a_value_that_takes_for_ever_is_refused(backend: Backend, kind: str) -> None:
    schema, value = _ENDLESS[kind]
    dataset = made(backend, schema)["id"]
    answer = backend.call("POST", "/examples", json={"dataset_id": dataset, "inputs": value})
    assert answer.status_code == 422
    assert "cannot be checked against" in answer.json()["detail"]
    assert count(backend, dataset) == 0


def test_others_write_while_a_value_is_being_checked(backend: Backend) -> None:
    schema, value = _ENDLESS["references"]
    slow, quick = made(backend, schema)["id"], made(backend, QUESTION)["id"]
    answers: list[int] = []
    checks = 3

    def hostile() -> None:
        told = {"dataset_id": slow, "inputs": value}
        answers.extend(backend.call("POST", "/examples", json=told).status_code for _ in range(checks))

    thread = threading.Thread(target=hostile)
    thread.start()
    written = 0
    while thread.is_alive():
        for dataset in (quick, made(backend)["id"]):
            told = {"dataset_id": dataset, "inputs": {"q": "?"}}
            assert backend.call("POST", "/examples", json=told).status_code == 200
            written += 1
    thread.join()
    assert answers == [422] * checks
    # Where a check kept the others waiting, one of their requests would be answered after each, and few before.
    assert written > 2 * checks


def test_the_known_pattern_of_the_books_is_matched_at_once(backend: Backend) -> None:
    dataset = made(backend, {"properties": {"q": {"pattern": "^(a+)+$"}}})["id"]
    hostile, good = "a" * 100_000 + "!", "a" * 100_000
    answers = [
        backend.call("POST", "/examples", json={"dataset_id": dataset, "inputs": {"q": text}})
        for text in (hostile, good)
    ]
    assert [answer.status_code for answer in answers] == [422, 200]
    assert "does not match" in answers[0].json()["detail"]


@pytest.mark.parametrize(
    "pattern", ["((((a{1000}){1000}){1000}){1000})", "(" * 3000 + ")" * 3000, "(?:a?){1000000}"]
)
def test_a_pattern_that_takes_too_much_memory_is_refused(backend: Backend, pattern: str) -> None:
    made(backend, {"properties": {"q": {"pattern": pattern}}}, status=422)
    made(backend, {"patternProperties": {pattern: True}}, status=422)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"^(?!x)\p{L}+$", "é", "xa"),
        (r"^(.)\1$", "aa", "ab"),
        (r"^\u0041\/\-$", "A/-", "B/-"),
        (r"(?<=a)b$", "ab", "cb"),
    ],
)
def test_patterns_are_those_of_the_standard(backend: Backend, pattern: str, good: str, bad: str) -> None:
    dataset = made(backend, {"properties": {"q": {"pattern": pattern}}})["id"]
    for text, status in ((good, 200), (bad, 422)):
        told = {"dataset_id": dataset, "inputs": {"q": text}}
        assert backend.call("POST", "/examples", json=told).status_code == status


def test_properties_by_name(backend: Backend) -> None:
    schema = {
        "properties": {"q": {}},
        "patternProperties": {"^n_": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
    }
    dataset = made(backend, schema, {"additionalProperties": False, "patternProperties": {"a": True}})["id"]
    for inputs, outputs, status in (
        ({"q": 1, "n_1": 1, "other": "text"}, {"ab": 1}, 200),
        ({"n_1": "1"}, {}, 422),
        ({"other": 1}, {}, 422),
        ({}, {"b": 1}, 422),
    ):
        told = {"dataset_id": dataset, "inputs": inputs, "outputs": outputs}
        assert backend.call("POST", "/examples", json=told).status_code == status, told


def test_a_long_list_of_objects_is_checked_for_repeats(backend: Backend) -> None:
    dataset = made(backend, {"properties": {"q": {"uniqueItems": True}}})["id"]
    many: list[Any] = [{"n": n, "m": True} for n in range(50_000)]
    for more, status in (({"n": 7, "m": 1}, 200), ({"m": True, "n": 7.0}, 422)):
        told = {"dataset_id": dataset, "inputs": {"q": [*many, more]}}
        assert backend.call("POST", "/examples", json=told).status_code == status


def test_a_schema_whose_checks_would_be_unbounded_is_refused(backend: Backend) -> None:
    both = {"patternProperties": {"^a": True}, "unevaluatedProperties": False}
    made(backend, {"properties": {"q": both}}, status=422)
    made(backend, {"description": "x" * 2**20}, status=422)


def test_a_run_s_values_are_checked_too(backend: Backend, dataset: str) -> None:
    run = run_id()
    assert backend.multipart(body(post(run, "source", inputs={"q": 1}))).status_code == 202
    told = {"dataset_id": dataset, "source_run_id": run, "use_source_run_io": True}
    answer = backend.call("POST", "/examples", json=told)
    assert answer.status_code == 422
    assert "do not keep to" in answer.json()["detail"]
