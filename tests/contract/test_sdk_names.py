"""Each private name of the SDK that we use is there, and does what we rely on.

If a test here fails after an upgrade of langsmith: read what `delivery/capture/sdk.py` says about the name, look
where it has gone, and narrow the version range in pyproject.toml until that is settled.
"""

from __future__ import annotations

import ast
import inspect
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from langsmith import Client, traceable
from langsmith.env import get_langchain_env_var_metadata
from langsmith.evaluation import EvaluationResult, EvaluationResults, _arunner
from langsmith.run_helpers import is_traceable_function
from langsmith.schemas import Example, LangSmithInfo, Run

import evalrunner
from evalrunner.delivery.capture import sdk
from evalrunner.delivery.capture.discretion import HARMLESS, be_discreet
from evalrunner.delivery.capture.sdk import (
    RecordingClient,
    call_summary_evaluator,
    dumps_json,
    mark_traceable,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)
SOURCES = Path(evalrunner.__file__).parent
MOVED = "langsmith has moved or changed {!r}: see the head of delivery/capture/sdk.py for what we need it for"


class Sink:
    """Remembers what it is given."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.patches: list[dict[str, Any]] = []
        self.scores: list[dict[str, Any]] = []

    def post(self, run: dict[str, Any]) -> None:
        self.posts.append(run)

    def patch(self, run: dict[str, Any]) -> None:
        self.patches.append(run)

    def name_feedback(self, run_id: UUID | None, key: str, *, judged: bool, failed: bool) -> UUID | None:
        return None

    def feedback(self, body: bytes, feedback_id: str, run_id: UUID | None, trace_id: UUID | None) -> bool:
        self.scores.append({**orjson.loads(body), "named": feedback_id})
        return True

    def not_taken(self, feedback_id: str, key: str, error: Exception) -> None:
        raise AssertionError("nothing is sent from here")


def client(sink: Sink, **options: Any) -> RecordingClient:
    facts = {"api_url": "http://127.0.0.1:9", "api_key": "key", "tracing_sampling_rate": 1.0, **options}
    return RecordingClient(sink, info=LangSmithInfo(version="0.14.0"), **facts)


def run_of(run_id: UUID, **more: Any) -> Run:
    facts: dict[str, Any] = {
        "id": run_id, "trace_id": run_id, "name": "root", "run_type": "chain", "start_time": NOW,
        "inputs": {}, "outputs": {"y": 1}, "dotted_order": f"20261120T120000000000Z{run_id}",
        "session_id": uuid4(),
    }  # fmt: skip
    return Run(**{**facts, **more})


def test_the_installed_sdk_is_within_the_range_that_these_tests_vouch_for() -> None:
    """`make test-sdk SDK=...` runs them with the oldest and the newest of the range."""
    installed = tuple(int(part) for part in version("langsmith").split(".")[:3])
    assert (0, 14, 17) <= installed < (0, 16)
    assert '"langsmith>=0.14.17,<0.16"' in (SOURCES.parents[1] / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "name",
    ["_create_run", "_update_run", "_log_evaluation_feedback", "_select_eval_results"],
)
def test_methods_of_the_client_are_there(name: str) -> None:
    assert callable(getattr(Client, name, None)), MOVED.format(f"Client.{name}")
    assert f"`Client.{name}`" in (sdk.__doc__ or ""), "give the reason in delivery/capture/sdk.py"


def test_no_other_module_of_ours_reaches_into_the_sdk() -> None:
    private = re.compile(r"(^|\.)_")
    for path in SOURCES.rglob("*.py"):
        if path == SOURCES / "delivery" / "capture" / "sdk.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name.startswith("langsmith")]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("langsmith"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            assert not any(private.search(name) for name in names), (path, names)


def test_dumps_json_gives_bytes_of_what_users_return() -> None:
    run_id = uuid4()
    data = dumps_json({"at": NOW, "id": run_id, "bytes": b"\xff", "odd": object()})
    assert isinstance(data, bytes), MOVED.format("dumps_json")
    assert orjson.loads(data)["id"] == str(run_id)


def test_runs_arrive_after_the_public_methods_have_hidden_what_is_to_be_hidden() -> None:
    sink, run_id = Sink(), uuid4()
    made = client(sink, hide_inputs=lambda _: {"hidden": 1}, hide_outputs=True, hide_metadata=False)
    order = f"20261120T120000000000Z{run_id}"
    facts: dict[str, Any] = {"id": run_id, "trace_id": run_id, "dotted_order": order, "start_time": NOW}
    made.create_run("root", {"secret": 1}, "chain", project_name="p", **facts)
    made.update_run(run_id, end_time=NOW, outputs={"secret": 2}, trace_id=run_id, dotted_order=order)
    (post,), (patch,) = sink.posts, sink.patches
    why = MOVED.format("Client._create_run / _update_run")
    assert post["inputs"] == {"hidden": 1}, why
    assert post["session_name"] == "p", why
    assert (str(post["id"]), str(post["trace_id"])) == (str(run_id), str(run_id)), why
    assert patch["outputs"] == {}, why
    assert patch["end_time"] == NOW.isoformat(), why
    assert str(patch["id"]) == str(run_id), why


@pytest.mark.parametrize("name", ["_create_run", "_update_run"])
def test_the_run_is_the_first_argument(name: str) -> None:
    parameters = list(inspect.signature(getattr(Client, name)).parameters.values())[1:]
    kinds = {parameter.kind for parameter in parameters[1:]}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}, MOVED.format(f"Client.{name}")


def test_scores_are_recorded_at_once_whatever_pool_they_are_given() -> None:
    sink, run_id = Sink(), uuid4()
    results = EvaluationResults(
        results=[EvaluationResult(key="a", score=1), EvaluationResult(key="b", value="x")]
    )
    with ThreadPoolExecutor(1) as pool:
        pool.shutdown()  # whoever submits to it fails
        returned = client(sink)._log_evaluation_feedback(results, run_of(run_id), _executor=pool)
    why = MOVED.format("Client._log_evaluation_feedback")
    assert [(score["key"], score["run_id"]) for score in sink.scores] == [
        ("a", str(run_id)),
        ("b", str(run_id)),
    ], why
    assert [score["trace_id"] for score in sink.scores] == [str(run_id)] * 2, why
    assert [score["id"] for score in sink.scores] == [score["named"] for score in sink.scores], why
    assert [result.key for result in returned] == ["a", "b"], why


def test_aevaluate_hands_its_pool_to_that_method() -> None:
    source = inspect.getsource(_arunner)
    calls = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("client._log_evaluation_feedback")
    ]
    assert calls, MOVED.format("aevaluate's call of Client._log_evaluation_feedback")
    for call in calls:
        assert "_executor" in {keyword.arg for keyword in call.keywords}


def test_a_score_goes_out_as_a_post_to_feedback_when_the_client_has_no_queue() -> None:
    """`RecordingClient.request_with_retries` takes it there; on any other way it would be sent past the books."""
    sink, run_id = Sink(), uuid4()
    made = client(sink)
    assert made.tracing_queue is None
    assert made.compressed_traces is None
    made.create_feedback(run_id, "k", score=0.5, trace_id=run_id, session_id=uuid4(), comment="so so")
    (score,) = sink.scores
    assert (score["key"], score["score"], score["comment"]) == ("k", 0.5, "so so")
    assert score["id"] == score["named"]


def runs_examples(runs: list[Run], examples: list[Example]) -> dict[str, Any]:
    return {"key": "pairs", "score": len(runs) + len(examples)}


def by_name(outputs: list[Any], reference_outputs: list[Any]) -> list[dict[str, Any]]:
    return [
        {"key": "first", "score": outputs[0]["y"]},
        {"key": "kind", "value": str(reference_outputs[0]["y"])},
    ]


def bare(outputs: list[Any]) -> float:
    return len(outputs) / 2


def test_summary_evaluators_are_called_and_read_by_the_sdks_rules() -> None:
    runs = [run_of(uuid4())]
    examples = [Example(id=uuid4(), inputs={}, outputs={"y": 3}, dataset_id=uuid4(), created_at=NOW)]
    made = client(Sink())

    def scores(evaluator: Any) -> list[tuple[str, Any, Any]]:
        found = call_summary_evaluator(made, evaluator, runs, examples)
        return [(result.key, result.score, result.value) for result in found]

    why = MOVED.format("_normalize_summary_evaluator / Client._select_eval_results")
    assert scores(runs_examples) == [("pairs", 2, None)], why
    assert scores(by_name) == [("first", 1, None), ("kind", None, "3")], why
    assert scores(bare) == [("bare", 0.5, None)], why
    with pytest.raises(ValueError, match="Invalid evaluator function"):
        call_summary_evaluator(made, lambda a, b, c: 1, runs, examples)


def test_a_marked_function_is_traceable_in_the_eyes_of_the_sdk() -> None:
    async def target(inputs: dict[str, Any], langsmith_extra: Any = None) -> None:
        """Do nothing."""

    assert not is_traceable_function(target)
    assert is_traceable_function(mark_traceable(target)), MOVED.format("__langsmith_traceable__")


def test_facts_of_the_environment_are_worked_out_once_and_left_out_of_what_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANGSMITH_DATABASE_URL", "postgres://me:secret@db")
    monkeypatch.setenv("LANGSMITH_NOTE", "the environment's")
    monkeypatch.setenv("LANGSMITH_REVISION_ID", "r key 17")
    facts = get_langchain_env_var_metadata
    facts.cache_clear()
    try:
        assert facts() is facts(), MOVED.format("get_langchain_env_var_metadata")
        sink = Sink()
        recorded = client(sink)
        extra = {"metadata": {"LANGSMITH_NOTE": "the user's own", "mine": 1}}
        recorded.create_run("n", {}, "chain", id=uuid4(), extra=extra)
        metadata = sink.posts[0]["extra"]["metadata"]
        assert (metadata["LANGSMITH_NOTE"], metadata["mine"]) == ("the user's own", 1)
        assert not {"LANGSMITH_DATABASE_URL", "revision_id"} & set(metadata), "the second holds the key"
        be_discreet("key")
        assert set(facts()) <= HARMLESS
    finally:
        facts.cache_clear()


def test_what_a_root_run_is_made_of_is_there() -> None:
    """delivery/capture/root.py; that these do what we rely on is what tests/differential is for."""
    assert list(inspect.signature(sdk.setup_run).parameters)[:3] == [
        "func",
        "container_input",
        "langsmith_extra",
    ]
    assert list(inspect.signature(sdk.container_end).parameters) == ["container", "outputs", "error"]
    assert "outputs_processor" in inspect.signature(sdk.handle_container_end).parameters
    for name in ("_METADATA", "_TAGS", "_PROJECT_NAME", "_ADDRESS", "_PARENT_RUN_TREE_REF"):
        assert hasattr(getattr(sdk.context, name, None), "set"), MOVED.format(name)
    for name in ("_GLOBAL_METADATA", "_GLOBAL_TAGS"):
        assert hasattr(sdk.context, name), MOVED.format(name)
    config = getattr(traceable(process_outputs=dict)(lambda: None), "__traceable_config__", {})
    assert config.get("process_outputs") is dict, MOVED.format("__traceable_config__")
