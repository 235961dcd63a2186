"""Threads as the SDK's generated client reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.support.backend import Backend, body, part, post, run_id, running

RUNS = [str(run_id()) for _ in range(7)]
CHILD = str(run_id())


def ago(hours: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(hours=hours)).isoformat()


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    usage = {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5, "total_cost": 0.5}
    stamp = "20260102T030405000006Z"
    below = {
        "trace_id": RUNS[0],
        "parent_run_id": RUNS[0],
        "dotted_order": f"{stamp}{RUNS[0]}.{stamp}{CHILD}",
    }

    def turn(number: int, thread: Any, hours: float, **more: Any) -> bytes:
        extra = {"metadata": thread}
        times = {"start_time": ago(hours), "end_time": ago(hours - 0.5)}
        return bytes(post(RUNS[number], "s", extra=extra, inputs={"n": number}, **{**times, **more}))

    with running(tmp_path_factory.mktemp("threads") / "backend.db") as served:
        sent = served.multipart(body(
            turn(0, {"session_id": "A"}, 5, outputs={"o": 0}),
            post(CHILD, "s", **below, run_type="llm", start_time=ago(5), outputs={"usage_metadata": usage}),
            turn(1, {"thread_id": "B"}, 4),
            turn(2, {"conversation_id": "A"}, 3, error="oh", outputs={"o": 2}),
            turn(3, {"thread_id": "C"}, 2),
            turn(4, {"thread_id": "OLD"}, 40),
            turn(5, {"thread_id": 7}, 1),
            turn(6, {"other": "none"}, 1),
            part(f"feedback.{run_id()}", {"run_id": RUNS[0], "trace_id": RUNS[0], "key": "good", "score": 1}),
        ))  # fmt: skip
        assert sent.status_code == 202
        yield served


@pytest.fixture
def asked(backend: Backend) -> Iterator[tuple[Any, str]]:
    with backend.client() as client:
        yield client._get_langsmith_api_sync().threads, str(client.read_project(project_name="s").id)


def test_threads_are_queried(asked: tuple[Any, str]) -> None:
    api, project = asked
    for size in (1, 2, 20):
        found = list(api.query(project_id=project, page_size=size))
        assert [thread.thread_id for thread in found] == ["7", "C", "A", "B"]
    a = found[2]
    assert (a.count, a.first_trace_id, a.last_trace_id) == (2, RUNS[0], RUNS[2])
    assert (a.first_inputs, a.last_outputs, a.last_error) == ('{"n":0}', '{"o":2}', "oh")
    assert (a.num_errored_turns, a.total_tokens, a.total_cost) == (1, 5, 0.5)
    assert a.latency_p50 == pytest.approx(1800, abs=1)
    assert a.feedback_stats["good"].n == 1
    assert a.min_start_time < a.max_start_time == a.start_time

    def ids(**more: Any) -> list[str]:
        return [thread.thread_id for thread in api.query(project_id=project, **more)]

    assert ids(min_start_time="2000-01-01T00:00:00Z")[-1] == "OLD"
    assert ids(max_start_time=ago(3.5)) == ["B", "A"]
    assert ids(filter='eq(status, "error")') == ["A"]
    assert ids(tree_filter='eq(run_type, "llm")') == ["A"]
    (whole,) = api.query(project_id=project, trace_filter='eq(status, "error")')
    assert whole.count == 2  # the thread is chosen by one trace and shown with all


def test_the_traces_of_a_thread(asked: tuple[Any, str]) -> None:
    api, project = asked
    selects = ["NAME", "LATENCY", "TURN_NUMBER", "ERROR", "THREAD_ID", "INPUTS"]
    traces = list(api.list_traces("A", project_id=project, page_size=1, selects=selects))
    assert [trace.trace_id for trace in traces] == [RUNS[0], RUNS[2]]
    assert [trace.turn_number for trace in traces] == [1, 2]
    assert [trace.error for trace in traces] == [None, "oh"]
    assert traces[0].latency == pytest.approx(1800, abs=1)
    assert (traces[0].name, traces[0].thread_id, traces[0].inputs) == ("target", "A", {"n": 0})
    failed = list(
        api.list_traces("A", project_id=project, filter='eq(status, "error")', selects=["TURN_NUMBER"])
    )
    assert [(trace.trace_id, trace.turn_number) for trace in failed] == [(RUNS[2], 2)]
    with_llm = api.list_traces("A", project_id=project, tree_filter='eq(run_type, "llm")')
    assert [trace.trace_id for trace in with_llm] == [RUNS[0]]
    assert [trace.trace_id for trace in api.list_traces("7", project_id=project)] == [RUNS[5]]
    assert list(api.list_traces("none", project_id=project)) == []


def test_the_sums_of_a_thread(asked: tuple[Any, str]) -> None:
    api, project = asked
    selects = ["TURNS", "TOTAL_TOKENS", "TOTAL_COST", "LATENCY_P99", "FEEDBACK_STATS", "FIRST_START_TIME"]
    told = api.stats("A", session_id=project, selects=selects)
    assert (told.turns, told.total_tokens, told.total_cost) == (2, 5, 0.5)
    assert told.latency_p99_seconds == pytest.approx(1800, abs=1)
    assert told.feedback_stats["good"].avg == 1
    assert told.last_end_time is None  # not selected
    few = api.stats("A", session_id=project, selects=["TURNS"], filter='eq(status, "error")')
    assert few.turns == 1


def test_what_is_refused(backend: Backend) -> None:
    project = run_id()
    asked: list[tuple[int, dict[str, Any]]] = [
        (400, {}),
        (422, {"project_id": project, "page_size": 101}),
        (400, {"project_id": project, "cursor": "nonsense"}),
        (501, {"project_id": project, "thread_filter": "gt(count, 1)"}),
        (400, {"project_id": project, "filter": "eq(nom, 1)"}),
    ]
    for status, one in asked:
        assert backend.call("POST", "/api/v2/threads/query", json=one).status_code == status, one
    for path in ("/A/stats", f"/A/stats?session_id={project}", f"/A/stats?session_id={project}&selects=COLOUR",
                 "/A/traces", f"/A/traces?project_id={project}&cursor=x",
                 f"/A/traces?project_id={project}&selects=COLOUR"):  # fmt: skip
        assert backend.call("GET", f"/api/v2/threads{path}").status_code == 400, path


def test_sums_over_the_threads_of_a_project(asked: tuple[Any, str]) -> None:
    api, project = asked

    def sums(**more: Any) -> Any:
        kinds = ["THREAD_COUNT", "TRACE_COUNT", "TOTAL_TOKENS", "TOTAL_COST", "ERROR_RATE", "MEDIAN_TOKENS",
                 "STREAMING_RATE", "LATENCY_P50", "FIRST_TOKEN_P50", "THREAD_FEEDBACK_STATS"]  # fmt: skip
        return api.aggregate_stats(project_id=project, select=kinds, **more)

    told = sums()
    assert (told.thread_count, told.trace_count, told.total_tokens, told.total_cost) == (4, 5, 5, 0.5)
    assert (told.error_rate, told.median_tokens, told.streaming_rate) == (0.2, 5, 0)
    assert told.latency_p50_seconds == pytest.approx(1800, abs=1)
    assert told.first_token_p50_seconds is None
    assert sums(min_start_time=ago(50)).thread_count == 5
    only = sums(trace_filter='eq(status, "error")')
    assert (only.thread_count, only.trace_count, only.error_rate) == (1, 2, 0.5)
    assert sums(tree_filter='eq(run_type, "llm")').trace_count == 2
    none = sums(max_start_time=ago(39))
    assert (none.thread_count, none.error_rate) == (0, None)
    refused: list[list[str]] = [["TURNS"], []]
    for bad in refused:
        with pytest.raises(Exception, match="select must name"):
            api.aggregate_stats(project_id=project, select=bad)


def test_what_was_said_in_a_thread_is_read_in_order(backend: Backend) -> None:
    """As langsmith-fetch asks for it: one JSON text per message, an empty line between two."""
    ask, reply = {"role": "user", "content": "hé\n\nyou"}, {"role": "assistant", "content": "1"}
    more, last = {"role": "user", "content": "and?"}, {"role": "assistant", "content": "2"}
    runs = [run_id() for _ in range(5)]
    sent = backend.multipart(body(
        post(runs[0], "talk", extra={"metadata": {"thread_id": "a/b c"}}, start_time=ago(3),
             inputs={"messages": [ask]}, outputs={"messages": [ask, reply]}),
        post(runs[1], "talk", extra={"metadata": {"session_id": "a/b c"}}, start_time=ago(2),
             inputs={"messages": [more]}, outputs={"messages": [last]}),
        post(runs[4], "talk", extra={"metadata": {"thread_id": "a/b c"}}, start_time=ago(1.5),
             inputs={"messages": [ask]}, outputs={"messages": [ask, reply]}),
        post(runs[2], "talk", extra={"metadata": {"thread_id": "a/b c"}}, start_time=ago(1), inputs={"x": 1}),
        post(runs[3], "talk", extra={"metadata": {"thread_id": "other"}}, inputs={"messages": "text"}),
    ))  # fmt: skip
    assert sent.status_code == 202
    with backend.client() as client:
        project = str(client.read_project(project_name="talk").id)

    def preview(thread: str, **told: str) -> Any:
        return backend.call("GET", f"/runs/threads/{thread}", params={"session_id": project, **told})

    told = preview("a/b c", select="all_messages").json()["previews"]["all_messages"]
    assert [json.loads(line) for line in told.split("\n\n")] == [ask, reply, more, last, ask, reply]
    assert preview("other").json() == {"thread_id": "other", "previews": {"all_messages": ""}}
    assert [preview("nobody").status_code, preview("other", select="x").status_code] == [404, 400]
    assert backend.call("GET", "/runs/threads/other").status_code == 400
