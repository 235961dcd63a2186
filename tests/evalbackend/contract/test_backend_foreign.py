"""What other clients than the Python SDK send and expect: curl, the SDK of JavaScript, tools of third parties."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from langsmith import Client
from langsmith.schemas import AttachmentsOperations

from tests.support.backend import (
    TOKEN,
    Backend,
    body,
    part,
    post,
    run_id,
    running,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")
OLD = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("foreign") / "store.sqlite") as served:
        yield served


@pytest.fixture
def client(backend: Backend) -> Iterator[Client]:
    with backend.client() as made:
        yield made


def session_of(backend: Backend, name: str) -> str:
    return str(backend.call("GET", f"/sessions?name={name}").json()[0]["id"])


def names(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [run["name"] for run in answer.json()["runs"]]


# --- POST /runs -------------------------------------------------------------------------------------------------


def test_a_run_needs_a_name_and_a_type_only(backend: Backend) -> None:
    answer = backend.call("POST", "/runs", json={"name": "bare", "run_type": "chain"})
    assert answer.status_code == 202
    kept = backend.call("GET", f"/runs/{answer.json()['id']}").json()
    assert (kept["name"], kept["status"], kept["trace_id"]) == ("bare", "pending", kept["id"])
    assert kept["dotted_order"].endswith(f"Z{kept['id']}")
    assert kept["dotted_order"][:15] == kept["start_time"].replace("-", "").replace(":", "")[:15]
    assert kept["session_id"] == session_of(backend, "default")


def test_what_a_run_tells_of_its_place_is_kept_to(backend: Backend) -> None:
    root, child = run_id(), run_id()
    order = f"20260102T030405000006Z{root}"
    facts: dict[str, Any] = {"name": "n", "run_type": "chain"}
    for told, wanted in (
        ({"dotted_order": order}, (root, root, "2026-01-02T03:04:05.000006", order)),
        ({"trace_id": (alone := run_id())}, (alone, alone, None, None)),
        (
            {
                "parent_run_id": root,
                "trace_id": root,
                "dotted_order": f"{order}.20260102T030406000000Z{child}",
            },
            (child, root, "2026-01-02T03:04:06.000000", f"{order}.20260102T030406000000Z{child}"),
        ),
    ):
        made = backend.call("POST", "/runs", json={**facts, **told}).json()["id"]
        kept = backend.call("GET", f"/runs/{made}").json()
        got = (kept["id"], kept["trace_id"], kept["start_time"], kept["dotted_order"])
        assert [g for g, w in zip(got, wanted, strict=True) if w is not None] == [w for w in wanted if w]
    below = backend.call("POST", "/runs", json={**facts, "parent_run_id": root}).json()["id"]
    kept = backend.call("GET", f"/runs/{below}").json()
    assert (kept["trace_id"], kept["dotted_order"].split(".")[0]) == (root, order)


def test_a_batch_may_leave_ids_to_the_server_too(backend: Backend) -> None:
    sent = {"post": [{"name": f"b{at}", "run_type": "tool", "session_name": "idless"} for at in range(3)]}
    assert backend.call("POST", "/runs/batch", json=sent).status_code == 202
    found = backend.call("POST", "/runs/query", json={"session": [session_of(backend, "idless")]})
    assert sorted(names(found)) == ["b0", "b1", "b2"]


@pytest.mark.parametrize(
    "told", [{}, {"name": "n"}, {"run_type": "chain"}, {"name": "n", "run_type": "cat"}, {"id": "x"},
             {"name": "n", "run_type": "chain", "dotted_order": f"20261302T030405000006Z{'0' * 36}"},
             {"name": "n", "run_type": "chain", "dotted_order": 7}],
)  # fmt: skip
def test_a_run_that_lacks_them_is_refused_in_a_sentence(backend: Backend, told: dict[str, Any]) -> None:
    answer = backend.call("POST", "/runs", json=told)
    assert (answer.status_code, bool(answer.json()["detail"])) == (422, True)


# --- addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_addresses_of_files_can_be_fetched_as_they_stand(
    backend: Backend, client: Client, prefix: str
) -> None:
    run, session = run_id(), f"files-{uuid.uuid4().hex[:6]}"
    assert backend.multipart(body(post(run, session), part(f"attachment.{run}.f", b"abc", "text/x"))).ok
    dataset = client.create_dataset(f"d-{uuid.uuid4().hex[:8]}")
    examples: list[Any] = [{"inputs": {}, "attachments": {"f": ("text/x", b"abc")}}]
    client.create_examples(dataset_id=dataset.id, examples=examples)
    project = session_of(backend, session)
    shared = backend.call("PUT", f"{prefix}/datasets/{dataset.id}/share", json={}).json()["share_token"]
    found: list[Any] = [
        backend.call("GET", f"{prefix}/runs/{run}").json()["s3_urls"]["attachment.f"]["presigned_url"],
        backend.call("POST", f"{prefix}/runs/query", json={"id": [run]}).json()["runs"][0]["s3_urls"][
            "attachment.f"
        ]["presigned_url"],
        backend.call("POST", "/api/v2/runs/query", json={
            "project_ids": [project], "min_start_time": OLD, "selects": ["ATTACHMENTS"],
        }).json()["items"][0]["attachments"]["f"],
        backend.call("GET", f"{prefix}/examples?dataset={dataset.id}&select=attachment_urls").json()[0][
            "attachment_urls"
        ]["attachment.f"]["presigned_url"],
        backend.call("GET", f"{prefix}/public/{shared}/examples").json()[0]["attachment_urls"][
            "attachment.f"
        ]["presigned_url"],
    ]  # fmt: skip
    for url in found:
        assert url.startswith(f"{backend.url}/attachments/"), url
        assert requests.get(url, timeout=60).content == b"abc"
    (example,) = client.list_examples(dataset_id=dataset.id, include_attachments=True)
    assert (example.attachments or {})["f"]["reader"].read() == b"abc"


def test_addresses_name_the_host_that_the_client_reached(backend: Backend) -> None:
    run, port = run_id(), urlsplit(backend.url).port
    assert backend.multipart(body(post(run, "hosts"), part(f"attachment.{run}.f", b"abc", "text/x"))).ok

    def address(**headers: str) -> str:
        read = backend.call("GET", f"/runs/{run}", headers=headers).json()
        return str(read["s3_urls"]["attachment.f"]["presigned_url"].partition("/attachments/")[0])

    assert address() == backend.url
    assert address(Host=f"localhost:{port}") == f"http://localhost:{port}"
    assert address(Host="localhost:9") == "http://localhost:9"  # a tunnel
    assert address(**{"X-Forwarded-Host": "evil.example"}) == backend.url
    assert address(**{"X-Forwarded-Proto": "https"}) == backend.url.replace("http:", "https:")
    assert address(**{"X-Forwarded-Proto": "ws"}) == backend.url


# --- queries ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def words(backend: Backend) -> str:
    """Three runs, one of which speaks of a storm."""
    for second, name in enumerate(("first", "second", "third")):
        start = f"2026-01-02T03:04:0{second}Z"
        told = {"q": "a storm at sea"} if name == "second" else {"q": "calm"}
        assert backend.multipart(body(post(run_id(), "words", name=name, start_time=start, inputs=told))).ok
    return session_of(backend, "words")


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"order_by": "start_time"}, ["first", "second", "third"]),
        ({"order_by": ["-start_time"]}, ["third", "second", "first"]),
        ({"order_by": "latency"}, ["third", "second", "first"]),
        ({"order_by": "-start_time", "order": "asc"}, ["first", "second", "third"]),
        ({"query": "storm"}, ["second"]),
        ({"search_filter": 'search("storm")'}, ["second"]),
        ({"search_filter": 'eq(name, "third")', "use_experimental_search": True}, ["third"]),
        ({"search_filter": "storm at"}, ["second"]),
        ({"use_experimental_search": True, "data_source_type": "current"}, ["third", "second", "first"]),
        ({"filter": "", "trace_filter": "", "query": " ", "cursor": ""}, ["third", "second", "first"]),
        ({"run_type": "CHAIN"}, ["third", "second", "first"]),
        ({"whatever": {"nested": [1]}, "skip_pagination": True, "stats": 1}, ["third", "second", "first"]),
    ],
)
def test_a_query_is_answered_whatever_else_it_says(
    backend: Backend, words: str, more: dict[str, Any], wanted: list[str]
) -> None:
    assert names(backend.call("POST", "/runs/query", json={"session": [words], **more})) == wanted
    stats = backend.call("POST", "/runs/stats", json={"session": [words], **more})
    assert (stats.status_code, stats.json()["run_count"]) == (200, len(wanted))


def test_no_query_is_refused_for_a_field_that_is_not_known(backend: Backend, words: str) -> None:
    dataset = backend.call("POST", "/datasets", json={"name": f"d-{uuid.uuid4().hex[:8]}"}).json()["id"]
    run = backend.call("POST", "/runs", json={"name": "n", "run_type": "chain"}).json()["id"]
    queue = backend.call("POST", "/annotation-queues", json={"name": "q"}).json()["id"]
    extra = "colour=blue&order_by=-x&sort_by=name&use_experimental_search=true"
    for path in (
        "/datasets", f"/datasets/{dataset}", f"/datasets/{dataset}/versions", f"/datasets/{dataset}/splits",
        f"/examples?dataset={dataset}", "/sessions", f"/sessions/{words}", "/feedback", "/feedback-configs",
        f"/feedback/tokens?run_id={run}", "/annotation-queues", f"/annotation-queues/{queue}/runs",
        "/platform/evaluators", "/info", f"/runs/{run}", f"/datasets/{dataset}/comparative",
    ):  # fmt: skip
        answer = backend.call("GET", f"{path}{'&' if '?' in path else '?'}{extra}")
        assert answer.status_code == 200, (path, answer.text)
    for path, asked in (
        ("/api/v2/runs/query", {"project_ids": [words]}),
        ("/api/v2/traces/query", {"project_id": words}),
        ("/api/v2/threads/query", {"project_id": words}),
        (f"/api/v2/datasets/{dataset}/experiment-runs", {"experiment_ids": [words]}),
        (f"/datasets/{dataset}/runs", {"session_ids": [words]}),
    ):
        answer = backend.call("POST", path, json={**asked, "colour": "blue", "sort_by": ["x"]})
        assert answer.status_code == 200, (path, answer.text)


def test_excluding_default_fields_without_naming_others_leaves_them(backend: Backend, client: Client) -> None:
    dataset = client.create_dataset(f"d-{uuid.uuid4().hex[:8]}")
    client.create_example({"a": 1}, dataset_id=dataset.id, outputs={"b": 2})

    def read(more: str) -> dict[str, Any]:
        return dict(backend.call("GET", f"/examples?dataset={dataset.id}&{more}").json()[0])

    assert read("exclude_default_fields=true")["inputs"] == {"a": 1}
    assert read("exclude_default_fields=true") == read("exclude_default_fields=false")
    assert read("exclude_default_fields=true&select=outputs").keys() == {"id", "outputs"}


# --- paths ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/runs/rules"), ("POST", "/runs/group"), ("POST", "/runs/rules"), ("GET", "/runs/multipart"),
        ("GET", "/sessions/insights"), ("GET", "/datasets/clone"), ("POST", "/datasets/clone"),
        ("POST", "/examples/validate"), ("GET", "/examples/count"), ("GET", "/feedback/formulas"),
        ("GET", "/annotation-queues/populate"), ("GET", "/feedback/tokens/nonsense"),
        ("GET", "/public/nonsense/run"), ("GET", "/public/nonsense/datasets"), ("GET", "/v2/runs/nonsense"),
        ("GET", "/repos"), ("GET", "/repos/-/prompt"), ("GET", "/commits/-/prompt/latest"), ("GET", "/settings"),
        ("GET", "/api/v1/workspaces"), ("GET", "/api/v2/nonsense"), ("PATCH", "/datasets/x"),
        ("GET", "/runs/x/share"), ("GET", f"/runs/{uuid.UUID(int=1)}/nonsense"),
    ],
)  # fmt: skip
def test_paths_that_are_not_served_are_not_found(backend: Backend, method: str, path: str) -> None:
    body: dict[str, Any] = {} if method == "GET" else {"json": {}}
    answer = backend.call(method, path, **body)
    assert (answer.status_code, list(answer.json())) == (404, ["detail"])
    assert "UUID" not in answer.json()["detail"]


def test_a_known_path_says_which_methods_it_has(backend: Backend) -> None:
    answer = backend.call("DELETE", "/info")
    assert (answer.status_code, "GET" in answer.headers["allow"]) == (405, True)


# --- times, shares, tokens, queues, attachments -----------------------------------------------------------------


def test_times_of_runs_have_no_offset_in_the_older_reads(backend: Backend, client: Client) -> None:
    run, start = run_id(), "2026-01-02T03:04:05.000006"
    began = [{"name": "new_token", "time": "2026-01-02T03:04:06Z"}]
    assert backend.multipart(body(post(run, "times", events=began))).ok
    session = session_of(backend, "times")
    shared = backend.call("PUT", f"/runs/{run}/share", json={"run_id": run}).json()["share_token"]
    for read in (
        backend.call("GET", f"/runs/{run}").json(),
        backend.call("POST", "/runs/query", json={"session": [session]}).json()["runs"][0],
        backend.call("GET", f"/public/{shared}/run").json(),
        backend.call("GET", f"/public/{shared}/runs").json()[0],
        backend.call("POST", f"/public/{shared}/runs/query", json={}).json()["runs"][0],
    ):
        assert (read["start_time"], read["end_time"]) == (start, start)
        assert read["first_token_time"] == "2026-01-02T03:04:06.000000"
        assert "+" not in read["app_path"]
    asked = {"project_ids": [session], "min_start_time": OLD, "selects": ["START_TIME"]}
    newer = backend.call("POST", "/api/v2/runs/query", json=asked).json()["items"][0]["start_time"]
    assert newer == f"{start}+00:00"
    assert client.read_run(run).start_time.isoformat().startswith(start)


def test_a_shared_trace_is_listed_without_a_key(backend: Backend) -> None:
    root, child, other = run_id(), run_id(), run_id()
    order = f"20260102T030405000006Z{root}"
    below = {
        "parent_run_id": root,
        "trace_id": root,
        "dotted_order": f"{order}.20260102T030405000007Z{child}",
    }
    assert backend.multipart(
        body(post(root, "shared"), post(child, "shared", **below), post(other, "shared"))
    ).ok
    token = backend.call("PUT", f"/runs/{root}/share", json={"run_id": root}).json()["share_token"]

    def listed(query: str = "") -> list[str]:
        answer = requests.get(f"{backend.url}/public/{token}/runs{query}", timeout=60)
        assert answer.status_code == 200
        return [run["id"] for run in answer.json()]

    assert sorted(listed()) == sorted([root, child])
    page = requests.get(f"{backend.url}/public/{token}/r", timeout=60)  # the SDK's share_url
    assert (page.status_code, f'value="/ui/runs/{root}"' in page.text) == (200, True)
    assert listed(f"?id={child}&share_token={token}") == [child]
    assert listed(f"share_token={token}&id={child}") == [child]  # the SDK of JavaScript leaves out the mark
    assert requests.get(f"{backend.url}/public/{token}/runsomething", timeout=10).status_code == 404
    assert listed(f"?id={other}") == []
    assert requests.get(f"{backend.url}/public/{uuid.uuid4()}/runs", timeout=60).status_code == 404


def test_each_use_of_a_token_is_a_feedback_of_its_own(backend: Backend, client: Client) -> None:
    run = backend.call("POST", "/runs", json={"name": "n", "run_type": "chain"}).json()["id"]
    token = client.create_presigned_feedback_token(run, "thumbs")  # the SDK gives it an id
    client.create_feedback_from_token(token.url, score=0.8, value="v")
    client.create_feedback_from_token(str(token.id), score=0.9, value="v")
    assert requests.get(token.url, params={"score": 1}, timeout=60).status_code == 200
    assert sorted(f.score or 0 for f in client.list_feedback(run_ids=[run])) == [0.8, 0.9, 1]


def test_a_queue_without_rubric_says_so_only_where_it_is_read(backend: Backend) -> None:
    made = backend.call("POST", "/annotation-queues", json={"name": "bare"}).json()
    assert "rubric_instructions" not in made
    assert backend.call("GET", f"/annotation-queues/{made['id']}").json()["rubric_instructions"] is None
    told = {"name": "told", "rubric_instructions": "Be kind."}
    assert backend.call("POST", "/annotation-queues", json=told).json()["rubric_instructions"] == "Be kind."
    listed = {one["name"]: one for one in backend.call("GET", "/annotation-queues").json()}
    assert "rubric_instructions" not in listed["bare"]
    assert listed["told"]["rubric_instructions"] == "Be kind."


@pytest.mark.parametrize(
    "operations",
    [
        {"retain": ["a"], "rename": {"b": "a"}},
        {"retain": ["a"], "rename": {"a": "c"}},
        {"rename": {"a": "c", "b": "c"}},
    ],
)
def test_attachments_that_would_collide_are_refused(
    backend: Backend, client: Client, operations: dict[str, Any]
) -> None:
    dataset = client.create_dataset(f"d-{uuid.uuid4().hex[:8]}")
    files = {"a": ("text/x", b"A"), "b": ("text/x", b"B")}
    (one,) = client.create_examples(dataset_id=dataset.id, examples=[{"inputs": {}, "attachments": files}])[
        "example_ids"
    ]
    update = {"id": one, "attachments_operations": AttachmentsOperations(**operations)}
    with pytest.raises(Exception, match="422"):
        client.update_examples(dataset_id=dataset.id, updates=[update])
    answer = backend.call("PATCH", f"/examples/{one}", json={"attachments_operations": operations})
    assert (answer.status_code, "attachments" in answer.json()["detail"]) == (422, True)
    assert sorted(client.read_example(one).attachments or {}) == ["a", "b"]
    # What is sent anew has priority over what is kept or renamed: the SDK's own tests want it so.
    new = {"id": one, "attachments": {"c": ("text/x", b"new")}}
    renamed = {**new, "attachments_operations": AttachmentsOperations(rename={"a": "c"})}
    client.update_examples(dataset_id=dataset.id, updates=[renamed])
    (kept,) = (client.read_example(one).attachments or {}).items()
    assert (kept[0], kept[1]["reader"].read()) == ("c", b"new")


def test_a_session_tells_its_number_and_how_far_it_is(backend: Backend, client: Client) -> None:
    dataset = client.create_dataset(f"d-{uuid.uuid4().hex[:8]}")
    client.create_examples(dataset_id=dataset.id, examples=[{"inputs": {"x": x}} for x in range(4)])
    made = [
        backend.call("POST", "/sessions", json={
            "name": f"e{at}-{uuid.uuid4().hex[:6]}", "reference_dataset_id": str(dataset.id), "num_examples": 4,
            "num_repetitions": 2, "evaluator_keys": ["right", "fast"], "start_time": f"2026-01-0{at}T00:00:00Z",
        }).json()
        for at in (1, 2)
    ]  # fmt: skip
    assert [one["test_run_number"] for one in made] == [1, 2]
    for example in list(client.list_examples(dataset_id=dataset.id))[:2]:
        run = run_id()
        fields = {"session_id": made[1]["id"], "reference_example_id": str(example.id)}
        told = part(f"feedback.{run_id()}", {"run_id": run, "trace_id": run, "key": "right", "score": 1})
        assert backend.multipart(body(post(run, "unused", **fields), told)).ok
    read = backend.call("GET", f"/sessions/{made[1]['id']}?include_stats=true").json()
    wanted = {
        "expected_run_count": 8,
        "run_progress": 0.25,
        "evaluator_progress": {"right": 0.25, "fast": 0.0},
    }
    assert (read["test_run_number"], read["experiment_progress"]) == (2, wanted)
    listed = backend.call("GET", f"/sessions?reference_dataset={dataset.id}&include_stats=true").json()
    assert (listed[0]["test_run_number"], listed[0]["experiment_progress"]) == (2, wanted)
    assert backend.call("GET", f"/sessions/{made[0]['id']}").json()["experiment_progress"] is None
    plain = backend.call("GET", "/sessions?name=default&include_stats=true").json()[0]
    assert (plain["test_run_number"], plain["experiment_progress"]) == (None, None)


def test_every_refusal_has_the_same_shape(backend: Backend, tmp_path: Path) -> None:
    for answer in (
        requests.get(f"{backend.url}/sessions", timeout=60),
        requests.get(f"{backend.url}/sessions", headers={"x-api-key": "no"}, timeout=60),
        requests.get(f"{backend.url}/sessions", headers={"x-api-key": TOKEN, "Host": "evil"}, timeout=60),
        backend.call("GET", "/no/such"),
        backend.call("PUT", "/info"),
        backend.call("POST", "/runs", data=b"{"),
        backend.call("POST", "/runs/query", json={}),
        backend.call("GET", f"/runs/{run_id()}"),
    ):
        assert 400 <= answer.status_code < 500
        assert list(answer.json()) == ["detail"]
        assert isinstance(answer.json()["detail"], str)
