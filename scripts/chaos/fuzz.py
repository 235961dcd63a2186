"""Ask the backend every operation of its OpenAPI document with hostile values: no answer may be a 5xx.

    python scripts/chaos/fuzz.py [--examples 3000] [--seed 1]

The values come from the document's schemas, from ids of things that are really there, and from what has broken
servers before: other types, lone surrogates, huge numbers, deep nesting, torn bodies, half filters. Hypothesis
makes a failing request small. An operation that declares 501 may answer it. In the end the server must still
answer, and the store must be sound.

Exit code 1 after a 5xx, a connection that was cut, or a damaged store; the request is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts import wire  # noqa: E402 - after the path is set
from scripts.chaos.backend_kills import integrity  # noqa: E402 - after the path is set
from scripts.chaos.fuzz_values import MARK, Schema, dumped, form, json_values, mostly, value_of  # noqa: E402 - after the path is set
from tests.support.rig import Backend  # noqa: E402 - after the path is set


class Request(NamedTuple):
    """One request to be made."""

    operation: str
    method: str
    path: str
    body: bytes | None
    kind: str


def main() -> int:
    """Run the programme; return 0 if there was no 5xx."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--examples", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        backend = Backend(Path(folder))
        try:
            seen = fuzz(backend, options.examples, options.seed)
        finally:
            backend.close()
        verdict = integrity(Path(folder) / "store.sqlite")
    operations = {operation for operation, _ in seen}
    statuses: Counter[int] = Counter()
    for (_, status), count in seen.items():
        statuses[status] += count
    print(f"{sum(seen.values())} requests to {len(operations)} operations: no 5xx; integrity_check {verdict}")
    print("  ".join(f"{status}: {count}" for status, count in sorted(statuses.items())))
    return 0 if verdict == "ok" else 1


def fuzz(backend: Backend, examples: int, first: int) -> Counter[tuple[str, int]]:
    """Make the requests; return how often each operation answered what. AssertionError shows a 5xx."""
    line = wire.Line(backend.url, backend.token)
    document = orjson.loads(line.ask("GET", "/openapi.json")[1])
    line.close()
    known = _furnish(backend)
    seen: Counter[tuple[str, int]] = Counter()

    @seed(first)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(_requests(document, known))
    def attempt(request: Request) -> None:
        status, told = _ask(backend, request)
        seen[request.operation, status] += 1
        may = "501" in _declared(document, request.operation)["responses"]
        assert status < 500 or (status == 501 and may), (status, told[:300], request)

    attempt()
    return seen


def _ask(backend: Backend, request: Request) -> tuple[int, bytes]:
    line = wire.Line(backend.url, backend.token)
    try:
        headers = {"content-type": request.kind} if request.kind else {}
        return line.ask(request.method, request.path, request.body, **headers)
    finally:
        line.close()


def _furnish(backend: Backend) -> dict[str, str]:
    """Put one of each thing into the store, and return their ids by kind."""
    dataset = backend.dataset(3)
    name = backend.experiment(dataset)
    project = str(backend.client.read_project(project_name=name).id)
    run = wire.new_id()
    line = wire.Line(backend.url, backend.token)

    def made(method: str, path: str, body: Any, kind: str) -> str:
        status, told = line.ask(method, path, orjson.dumps(body))
        assert status == 200, told
        return str(orjson.loads(told)[kind])

    assert line.send(wire.packed(wire.post(run, name, ended=True, number=1))) == 202
    example = str(next(iter(backend.client.list_examples(dataset_id=dataset.id))).id)
    queue = made("POST", "/annotation-queues", {"name": "queue"}, "id")
    assert line.ask("POST", f"/annotation-queues/{queue}/runs", orjson.dumps([run]))[0] == 200
    feedback = {"run_id": run, "session_id": project, "key": "right", "score": 1}
    known = {"datasets": str(dataset.id), "sessions": project, "runs": run, "examples": example}
    known |= {"annotation-queues": queue, "feedback": made("POST", "/feedback", feedback, "id")}
    known["public"] = made("PUT", f"/datasets/{dataset.id}/share", {}, "share_token")
    known["shared"] = made("PUT", f"/runs/{run}/share", {}, "share_token")
    line.close()
    return known


def _requests(document: Schema, known: dict[str, str]) -> st.SearchStrategy[Request]:
    operations = [
        f"{method.upper()} {path}"
        for path, some in sorted(document["paths"].items())
        for method in sorted(some)
    ]
    wanted = [one for one in operations if "_admin" not in one]
    return st.sampled_from(wanted).flatmap(
        lambda one: _request(one, _declared(document, one), _spared(one, known))
    )


def _spared(operation: str, known: dict[str, str]) -> dict[str, str]:
    """Return ids of nothing for what deletes, so that the others find something to the end."""
    deletes = operation.startswith("DELETE") or operation.endswith("/delete")
    return {kind: wire.new_id() for kind in known} if deletes else known


def _declared(document: Schema, operation: str) -> Schema:
    method, _, path = operation.partition(" ")
    found: Schema = document["paths"][path][method.lower()]
    return found


@st.composite
def _request(draw: st.DrawFn, operation: str, told: Schema, known: dict[str, str]) -> Request:
    method, _, path = operation.partition(" ")
    query: list[tuple[str, str]] = []
    for one in told["parameters"]:
        value = value_of(one["name"], one["schema"], known, operation)
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", quote(_flat(draw(value)), safe=""))
        elif one["required"] or draw(st.booleans()):
            drawn = draw(value)
            query += [(one["name"], _flat(item)) for item in (drawn if isinstance(drawn, list) else [drawn])]
    body, kind = draw(_body(told, known, operation))
    return Request(operation, method, f"{path}?{urlencode(query)}" if query else path, body, kind)


def _flat(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text.encode("utf-8", "replace").decode()


def _body(told: Schema, known: dict[str, str], path: str) -> st.SearchStrategy[tuple[bytes | None, str]]:
    content = told.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        return form(known).map(lambda raw: (raw, f"multipart/form-data; boundary={MARK}"))
    if "application/json" not in content:
        return st.just((None, ""))
    told_by = _of_schema(content["application/json"]["schema"], known, path).map(dumped)
    torn = st.one_of(
        st.binary(max_size=40), st.just(b"[" * 3000), st.just(b'{"id": 1e999}'), json_values().map(dumped)
    )
    return mostly(told_by, torn).map(lambda raw: (raw, "application/json"))


def _of_schema(schema: Schema, known: dict[str, str], path: str) -> st.SearchStrategy[Any]:
    if schema["type"] == "array":
        return st.lists(_of_schema(schema["items"], known, path), max_size=3)
    fields = {name: value_of(name, one, known, path) for name, one in schema["properties"].items()}
    must = {name: one for name, one in fields.items() if name in schema["required"]}
    may = {name: one for name, one in fields.items() if name not in schema["required"]}
    return st.one_of(
        st.fixed_dictionaries(must, optional=may),
        st.fixed_dictionaries({}, optional=fields),
        st.fixed_dictionaries(must),
    )


if __name__ == "__main__":
    sys.exit(main())
