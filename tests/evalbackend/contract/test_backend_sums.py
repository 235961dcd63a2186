"""What the server adds to runs: usage of whole subtrees, and the metadata of an experiment's examples."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from langsmith import Client, evaluate

from tests.support.backend import (
    Backend,
    body,
    eventually,
    patch,
    post,
    run_id,
    running,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")
STAMP = "20260102T030405000006Z"
OLD = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("sums") / "store.sqlite") as served:
        yield served


@pytest.fixture
def client(backend: Backend) -> Iterator[Client]:
    with backend.client() as made:
        yield made


def used(count: int, cost: float, **more: Any) -> dict[str, Any]:
    told = {"input_tokens": count, "output_tokens": 1, "total_tokens": count + 1, "total_cost": cost}
    return {"outputs": {"usage_metadata": told}, **more}


@pytest.fixture(scope="module")
def tree(backend: Backend) -> dict[str, str]:
    """A root with a chain of two models, one of which began to speak; beside them a tool that costs."""
    ids = {name: run_id() for name in ("root", "chain", "first", "second", "tool")}
    session = f"tree-{uuid.uuid4().hex[:8]}"

    def made(name: str, *above: str, **fields: Any) -> bytes:
        order = ".".join(f"{STAMP}{ids[one]}" for one in (*above, name))
        parent = {"parent_run_id": ids[above[-1]]} if above else {}
        return bytes(
            post(ids[name], session, name=name, trace_id=ids["root"], dotted_order=order, **parent, **fields)
        )

    began = [{"name": "new_token", "time": "2026-01-02T03:04:07Z"}]
    parts = [
        made("second", "root", "chain", run_type="llm", **used(20, 0.2)),
        made("first", "root", "chain", run_type="llm", **used(10, 0.1, events=began)),
        made("tool", "root", run_type="tool", outputs={"usage_metadata": {"total_cost": 0.05}}),
        made("chain", "root"),
        made("root"),
    ]
    assert backend.multipart(body(*parts)).status_code == 202
    return {**ids, "session": str(backend.call("GET", f"/sessions?name={session}").json()[0]["id"])}


def test_a_run_shows_what_its_descendants_used(client: Client, tree: dict[str, str]) -> None:
    found = {run.name: run for run in client.list_runs(project_id=tree["session"])}
    totals = {
        name: (run.prompt_tokens, run.completion_tokens, run.total_tokens) for name, run in found.items()
    }
    assert totals["root"] == totals["chain"] == (30, 2, 32)
    assert (totals["first"], totals["second"]) == ((10, 1, 11), (20, 1, 21))
    costs = {name: float(run.total_cost or 0) for name, run in found.items()}
    assert costs == pytest.approx({"root": 0.35, "chain": 0.3, "first": 0.1, "second": 0.2, "tool": 0.05})
    assert found["root"].first_token_time is None
    one = client.read_run(tree["root"])
    assert one.total_tokens == 32
    assert float(one.total_cost or 0) == pytest.approx(0.35)


def test_sums_over_runs_count_nothing_twice(backend: Backend, client: Client, tree: dict[str, str]) -> None:
    project = client.read_project(project_id=tree["session"], include_stats=True)
    assert project.total_tokens == 32
    assert float(project.total_cost or 0) == pytest.approx(0.35)
    told = backend.call("POST", "/runs/stats", json={"session": [tree["session"]]}).json()
    assert (told["total_tokens"], told["total_cost"]) == (32, pytest.approx(0.35))


@pytest.mark.parametrize("whole", [True, False])
def test_the_second_generation_adds_them_up_when_asked(
    backend: Backend, tree: dict[str, str], whole: bool
) -> None:
    asked = {
        "project_ids": [tree["session"]], "min_start_time": OLD, "is_root": True,
        "selects": ["TOTAL_TOKENS", "TOTAL_COST", "FIRST_TOKEN_TIME"], "include_subtree_usage": whole,
    }  # fmt: skip
    (root,) = backend.call("POST", "/api/v2/runs/query", json=asked).json()["items"]
    if whole:
        assert (root["total_tokens"], root["total_cost"]) == (32, pytest.approx(0.35))
        assert root["first_token_time"].startswith("2026-01-02T03:04:07")
    else:
        assert root == {"total_tokens": None, "total_cost": None, "first_token_time": None}


def test_a_run_tells_its_example_s_metadata(client: Client) -> None:
    dataset = client.create_dataset(f"data-{uuid.uuid4().hex[:8]}")
    examples: list[Any] = [
        {"inputs": {"x": 1}, "metadata": {"level": "easy"}, "split": ["train"]},
        {"inputs": {"x": 2}, "metadata": {"level": "hard"}},
    ]
    client.create_examples(dataset_id=dataset.id, examples=examples)
    results = evaluate(
        lambda inputs: inputs, data=dataset.name, client=client, max_concurrency=0, metadata={"m": 1}
    )
    client.flush()
    session = client.read_project(project_name=results.experiment_name).id
    found = eventually(
        lambda: {(run.inputs or {})["x"]: run for run in client.list_runs(project_id=session, is_root=True)},
        lambda runs: len(runs) == 2 and all(run.end_time for run in runs.values()),
    )
    told = {
        x: {k: v for k, v in run.metadata.items() if k.startswith("ls_example_")} for x, run in found.items()
    }
    assert told == {
        1: {"ls_example_level": "easy", "ls_example_dataset_split": ["train"]},
        2: {"ls_example_level": "hard", "ls_example_dataset_split": ["base"]},
    }
    chosen = 'and(eq(metadata_key, "ls_example_level"), eq(metadata_value, "hard"))'
    (hard,) = client.list_runs(project_id=session, filter=chosen)
    assert hard.inputs == {"x": 2}


def test_what_a_run_says_itself_stays_whatever_comes_first(backend: Backend, client: Client) -> None:
    dataset = client.create_dataset(f"data-{uuid.uuid4().hex[:8]}")
    example = client.create_example(inputs={}, dataset_id=dataset.id, metadata={"a": 1, "b": 2})
    own, refers = {"metadata": {"ls_example_a": "own", "k": 0}}, {"reference_example_id": str(example.id)}
    ids = [run_id() for _ in range(4)]
    for parts in (
        [post(ids[0], "told", extra=own, **refers)],
        [patch(ids[1], extra=own)], [post(ids[1], "told", extra={}, **refers)],
        [post(ids[2], "told", **refers)], [patch(ids[2], extra=own)],
        [post(ids[3], "told", reference_example_id=run_id(), extra=own)],
    ):  # fmt: skip
        assert backend.multipart(body(*parts)).status_code == 202
    metadata = [client.read_run(one).metadata for one in ids]
    expected = {"ls_example_a": "own", "ls_example_b": 2, "ls_example_dataset_split": ["base"], "k": 0}
    assert metadata[:3] == [expected] * 3
    assert metadata[3] == own["metadata"]


def told(prompt: int, completion: int, cost: float | None = None) -> dict[str, Any]:
    """Outputs that tell usage."""
    usage = {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}
    return {"usage_metadata": usage if cost is None else {**usage, "total_cost": cost}}


Kind = tuple[str, str, dict[str, Any]]  # path of names, run type, outputs
TWICE: list[tuple[str, list[Kind], tuple[int, float | None]]] = [
    (
        "a chain hands on what its model used",
        [("r", "chain", told(10, 5)), ("r.m", "llm", told(10, 5))],
        (15, None),
    ),
    (
        "at any depth",
        [("r", "chain", told(10, 5)), ("r.c", "tool", told(10, 5)), ("r.c.m", "llm", told(10, 5, 0.5))],
        (15, 0.5),
    ),
    (
        "the last of two models' as its own",
        [("r", "chain", told(3, 1)), ("r.a", "llm", told(10, 5)), ("r.b", "llm", told(3, 1))],
        (19, None),
    ),
    ("nothing below tells any", [("r", "chain", told(10, 5, 0.5)), ("r.m", "llm", {})], (15, 0.5)),
    ("a wrapper in a wrapper", [("r", "llm", told(10, 5, 0.5)), ("r.m", "llm", told(10, 5, 0.5))], (15, 0.5)),
    ("a model that calls another", [("r", "llm", told(10, 5)), ("r.m", "llm", told(3, 1))], (19, None)),
    (
        "only the chain knows the cost",
        [("r", "chain", told(10, 5, 0.5)), ("r.m", "llm", told(10, 5))],
        (15, 0.5),
    ),
    (
        "a tool that is paid for and asks a model",
        [("r", "tool", {"usage_metadata": {"total_cost": 0.1}}), ("r.m", "llm", told(10, 5, 0.5))],
        (15, 0.6),
    ),
]


@pytest.mark.parametrize(("what", "kinds", "wanted"), TWICE, ids=[what for what, *_ in TWICE])
def test_each_use_of_a_model_is_counted_once(
    backend: Backend, client: Client, what: str, kinds: list[Kind], wanted: tuple[int, float | None]
) -> None:
    session, ids = f"once-{uuid.uuid4().hex[:8]}", {path: run_id() for path, *_ in kinds}
    for path, kind, outputs in reversed(kinds):
        above = [path[: at + 1] for at in range(len(path)) if at + 1 == len(path) or path[at + 1] == "."]
        order = ".".join(f"{STAMP}{ids[one]}" for one in above)
        parent = {"parent_run_id": ids[above[-2]]} if len(above) > 1 else {}
        fields = {"run_type": kind, "trace_id": ids["r"], "dotted_order": order, "outputs": outputs, **parent}
        assert backend.multipart(body(post(ids[path], session, **fields))).status_code == 202
    tokens, cost = wanted
    root = client.read_run(ids["r"])
    assert (root.total_tokens, root.total_cost and float(root.total_cost)) == (tokens, cost)
    project = client.read_project(project_name=session, include_stats=True)
    assert (project.total_tokens, project.total_cost and float(project.total_cost)) == (tokens, cost)
    session_id = str(project.id)
    stats = backend.call("POST", "/runs/stats", json={"session": [session_id]}).json()
    roots = backend.call("POST", "/runs/stats", json={"session": [session_id], "is_root": True}).json()
    assert stats["total_tokens"] == roots["total_tokens"] == tokens
    newer = {"project_ids": [session_id], "min_start_time": OLD, "is_root": True, "include_subtree_usage": True,
             "selects": ["TOTAL_TOKENS", "TOTAL_COST"]}  # fmt: skip
    (item,) = backend.call("POST", "/api/v2/runs/query", json=newer).json()["items"]
    assert (item["total_tokens"], item["total_cost"]) == (tokens, cost)
    asked = {"project_id": session_id, "min_start_time": OLD, "selects": ["TOTAL_TOKENS", "TOTAL_COST"]}
    (trace,) = backend.call("POST", "/api/v2/traces/query", json=asked).json()["items"]
    assert (trace["trace_aggregates"]["total_tokens"], trace["trace_aggregates"]["total_cost"]) == (
        tokens,
        cost,
    )
    found = client.list_runs(project_name=session, filter=f"eq(total_tokens, {tokens})", is_root=True)
    assert [str(run.id) for run in found] == [ids["r"]]


def test_filters_see_the_usage_that_the_answer_shows(backend: Backend, tree: dict[str, str]) -> None:
    for text in ("gt(total_tokens, 20)", "eq(prompt_tokens, 30)", "lte(completion_tokens, 1)", "eq(total_cost, 0.35)",
                 "gt(total_cost, 0.1)", "not(gt(total_tokens, 20))", "eq(total_tokens, null)"):  # fmt: skip
        every = backend.call("POST", "/runs/query", json={"session": [tree["session"]]}).json()["runs"]
        asked = {"session": [tree["session"]], "filter": text}
        found = {run["id"] for run in backend.call("POST", "/runs/query", json=asked).json()["runs"]}
        assert found == {run["id"] for run in every if shows(run, text)}, text
    for whole, wanted in ((True, ["chain", "root"]), (False, [])):
        newer = {"project_ids": [tree["session"]], "min_start_time": OLD, "filter": "gt(total_tokens, 21)",
                 "selects": ["NAME"], "include_subtree_usage": whole}  # fmt: skip
        items = backend.call("POST", "/api/v2/runs/query", json=newer).json()["items"]
        assert sorted(item["name"] for item in items) == wanted
    asked = {"session": [tree["session"]], "trace_filter": "gt(total_tokens, 31)"}
    assert len(backend.call("POST", "/runs/query", json=asked).json()["runs"]) == 5


def shows(run: dict[str, Any], text: str) -> bool:
    """What the filter says of the run as it is shown, worked out by hand."""
    if text.startswith("not("):
        return not shows(run, text[4:-1])
    (name, _, rest), value = text.partition("("), text[:-1].split(", ")[1]
    held, asked = run[rest.split(",")[0]], None if value == "null" else float(value)
    if held is None or asked is None:
        return name == "eq" and held is asked
    return bool({"eq": float(held) == asked, "gt": float(held) > asked, "lte": float(held) <= asked}[name])
