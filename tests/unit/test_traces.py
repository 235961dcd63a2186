"""From the real SDK's calls to whole traces, without any network."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from langsmith import trace, traceable
from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator
from langsmith.run_helpers import get_current_run_tree, tracing_context
from langsmith.schemas import Example, LangSmithInfo, Run
from langsmith.utils import ContextThreadPoolExecutor

from evalrunner.delivery.capture.items import CURRENT, ItemTrace
from evalrunner.delivery.capture.runs import Operation
from evalrunner.delivery.capture.sdk import RecordingClient
from evalrunner.delivery.capture.traces import TraceBook

SESSION = uuid4()
#: A port that nothing listens on: whatever would be sent after all, fails.
NOWHERE = "http://127.0.0.1:9"


class Wire:
    """One operation, as the server would read it."""

    def __init__(self, operation: Operation) -> None:
        self.kind, self.id, parts = operation
        head = f"{self.kind}.{self.id}"
        self.fields: dict[str, Any] = {}
        self.attachments: dict[str, tuple[str, bytes]] = {}
        for name, mime, data in parts:
            if name.startswith("attachment."):
                self.attachments[name.removeprefix(f"attachment.{self.id}.")] = (mime, data)
            elif name == head:
                self.fields.update(orjson.loads(data))
            else:
                self.fields[name.removeprefix(f"{head}.")] = orjson.loads(data)

    def __getitem__(self, name: str) -> Any:
        return self.fields.get(name)


class Bench:
    """A book, a real client that records into it, and what came out loose."""

    def __init__(self, *, live: bool = False) -> None:
        self.emitted: list[Wire] = []
        self.book = TraceBook(self.emit, open_live=(lambda _, posts: self.emit(posts)) if live else None)
        self.client = RecordingClient(
            self.book,
            api_url=NOWHERE,
            api_key="key",
            info=LangSmithInfo(version="0.14.0"),
            tracing_sampling_rate=1.0,
        )

    def emit(self, operations: list[Operation]) -> None:
        self.emitted += map(Wire, operations)

    def open(self, item: int = 0, run_id: UUID | None = None) -> ItemTrace:
        opened = self.book.open(item, 1, run_id or uuid4())
        CURRENT.set(opened)
        return opened

    def close(self, item: ItemTrace) -> list[Wire]:
        wires = [Wire(operation) for operation in self.book.close(item)]
        CURRENT.set(None)
        return wires

    def extra(self, item: ItemTrace, **more: Any) -> Any:
        return {"run_id": item.run_id, "client": self.client, "reference_example_id": uuid4(), **more}

    def score(self, run_id: UUID, key: str = "exact", **more: Any) -> Any:
        facts = {"score": 1, "trace_id": run_id, "session_id": SESSION, **more}
        return self.client.create_feedback(run_id, key, **facts)


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from benches(live=False)


@pytest.fixture
def live() -> Iterator[Bench]:
    yield from benches(live=True)


def benches(*, live: bool) -> Iterator[Bench]:
    made = Bench(live=live)
    with tracing_context(enabled=True, client=made.client, project_name="experiment"):
        yield made
    CURRENT.set(None)


@traceable
def double(x: int) -> int:
    return 2 * x


@traceable(run_type="tool")
def twice(x: int) -> int:
    return double(double(x))


# -- whole traces ------------------------------------------------------------------------------------


def test_a_tree_comes_out_whole_root_first_and_every_post_is_complete(bench: Bench) -> None:
    item = bench.open()

    @traceable(tags=["t"], metadata={"m": 1})
    def root(inputs: dict[str, int]) -> dict[str, int]:
        return {"y": twice(inputs["x"])}

    root({"x": 3}, langsmith_extra=bench.extra(item))
    wires = bench.close(item)
    assert [(wire.kind, wire["name"]) for wire in wires] == [
        ("post", "root"),
        ("post", "twice"),
        ("post", "double"),
        ("post", "double"),
    ]
    top, tool, *leaves = wires
    assert top.id == str(item.run_id) == top["trace_id"]
    assert (top["inputs"], top["outputs"]) == ({"inputs": {"x": 3}}, {"y": 12})
    assert top["reference_example_id"]
    assert top["session_name"] == "experiment"
    assert top["tags"] == ["t"]
    assert top["extra"]["metadata"]["m"] == 1
    assert (tool["run_type"], tool["parent_run_id"]) == ("tool", top.id)
    assert {leaf["parent_run_id"] for leaf in leaves} == {tool.id}
    for wire in wires:
        assert wire["end_time"] >= wire["start_time"]
        assert wire["outputs"] is not None
        assert wire["trace_id"] == top.id
        assert wire["dotted_order"].endswith(wire.id)
    assert bench.emitted == []
    assert item.own() == list(item.runs.values())


def test_an_error_ends_the_run_and_stands_in_it(bench: Bench) -> None:
    item = bench.open()

    @traceable
    def root(x: int) -> None:
        double(x)
        raise ValueError("three is too much")

    with pytest.raises(ValueError, match="three"):
        root(3, langsmith_extra=bench.extra(item))
    top, child = bench.close(item)
    assert top["end_time"]
    assert "three is too much" in top["error"]
    assert child["error"] is None


def test_async_siblings_belong_to_one_trace(bench: Bench) -> None:
    @traceable
    async def leaf(x: int) -> int:
        await asyncio.sleep(0)
        return x

    @traceable
    async def root() -> list[int]:
        return await asyncio.gather(*(leaf(x) for x in range(5)))

    item = bench.open()
    asyncio.run(root(langsmith_extra=bench.extra(item)))
    wires = bench.close(item)
    assert [wire["name"] for wire in wires] == ["root"] + ["leaf"] * 5
    assert {wire["parent_run_id"] for wire in wires[1:]} == {str(item.run_id)}


@pytest.mark.parametrize("pool", [ContextThreadPoolExecutor, ThreadPoolExecutor])
def test_children_made_in_threads_belong_to_their_item(bench: Bench, pool: type[ThreadPoolExecutor]) -> None:
    @traceable
    def root() -> list[int]:
        parent = get_current_run_tree()

        def below(x: int) -> int:
            # A plain pool knows no context: the parent is handed over, as the SDK documents it.
            with tracing_context(enabled=True, client=bench.client, parent=parent):
                return double(x)

        with pool(4) as threads:
            return list(threads.map(below, range(8)))

    item = bench.open()
    root(langsmith_extra=bench.extra(item))
    wires = bench.close(item)
    assert len(wires) == 9
    assert wires[0].id == str(item.run_id)
    assert {wire["parent_run_id"] for wire in wires[1:]} == {wires[0].id}
    assert all(wire["end_time"] for wire in wires)
    assert bench.emitted == []


def test_items_at_the_same_time_do_not_mix(bench: Bench) -> None:
    @traceable
    def root(number: int, barrier: threading.Barrier) -> int:
        barrier.wait(60)
        return twice(number)

    def work(number: int, barrier: threading.Barrier) -> list[Wire]:
        item = bench.open(number)
        root(number, barrier, langsmith_extra=bench.extra(item))
        barrier.wait(60)
        bench.score(item.run_id, comment=str(number))
        return bench.close(item)

    barrier = threading.Barrier(4)
    with ThreadPoolExecutor(4) as threads:
        context = contextvars.copy_context
        futures = [threads.submit(context().run, work, number, barrier) for number in range(4)]
        for number, future in enumerate(futures):
            wires = future.result(20)
            assert [wire["name"] for wire in wires[:4]] == ["root", "twice", "double", "double"]
            assert wires[0]["outputs"] == {"output": 4 * number}
            assert {wire["trace_id"] for wire in wires} == {wires[0].id}
            assert wires[4]["comment"] == str(number)
            assert len(wires) == 5


def test_evaluators_runs_come_along_though_their_trace_is_their_own(bench: Bench) -> None:
    item = bench.open()

    @traceable
    def root() -> int:
        return 1

    root(langsmith_extra=bench.extra(item))
    with tracing_context(enabled=True, client=bench.client, project_name="evaluators", parent=False):
        twice(5)
    wires = bench.close(item)
    assert [(wire["name"], wire["session_name"]) for wire in wires] == [
        ("root", "experiment"),
        ("twice", "evaluators"),
        ("double", "evaluators"),
        ("double", "evaluators"),
    ]
    assert [run.id for run in item.own()] == [item.run_id]
    assert len(item.others()) == 3
    assert len({wire["trace_id"] for wire in wires[1:]}) == 1


def test_a_dropped_item_leaves_nothing(bench: Bench) -> None:
    item = bench.open()
    with trace("root", client=bench.client, run_id=item.run_id):
        bench.book.drop(item)
        CURRENT.set(None)
    assert bench.close(bench.open()) == []


# -- what users do -----------------------------------------------------------------------------------


def test_inputs_are_recorded_as_they_were_when_the_target_was_called(bench: Bench) -> None:
    item = bench.open()

    @traceable
    def root(inputs: dict[str, Any]) -> dict[str, Any]:
        child(inputs)
        inputs["x"] = "changed"
        inputs["list"].append(2)
        return inputs

    @traceable
    def child(inputs: dict[str, Any]) -> None:
        inputs["list"].append(1)

    root({"x": "given", "list": []}, langsmith_extra=bench.extra(item))
    top, below = bench.close(item)
    assert top["inputs"] == {"inputs": {"x": "given", "list": []}}
    assert top["outputs"] == {"x": "changed", "list": [1, 2]}
    assert below["inputs"] == {"inputs": {"x": "given", "list": []}}


def test_outputs_are_recorded_as_they_were_when_the_run_ended(bench: Bench) -> None:
    item = bench.open()
    answer = {"y": 1}

    @traceable
    def root() -> dict[str, int]:
        return answer

    root(langsmith_extra=bench.extra(item))
    answer["y"] = 2
    (top,) = bench.close(item)
    assert top["outputs"] == {"y": 1}


class Stubborn:
    """Raises whenever it is looked at."""

    def __repr__(self) -> str:
        raise RuntimeError("do not look")

    __str__ = __repr__


def cycle() -> dict[str, Any]:
    made: dict[str, Any] = {}
    made["self"] = made
    return made


@pytest.mark.parametrize("make", [cycle, lambda: {"y": Stubborn()}], ids=["cycle", "raises"])
def test_outputs_that_cannot_be_serialised_end_the_run_with_an_error(
    bench: Bench, make: Callable[[], Any]
) -> None:
    item = bench.open()
    with trace("root", client=bench.client, run_id=item.run_id, inputs={"x": 1}) as run:
        run.end(outputs=make())
    (top,) = bench.close(item)
    assert top["end_time"]
    assert "its outputs cannot be serialised" in top["error"]
    assert "cannot be serialised" in top["outputs"]["evalrunner_error"]
    assert top["inputs"] == {"x": 1}
    assert item.runs[item.run_id].trouble


def test_objects_that_json_does_not_know_are_written_as_the_sdk_writes_them(bench: Bench) -> None:
    item = bench.open()
    with trace("root", client=bench.client, run_id=item.run_id) as run:
        run.end(outputs={"id": SESSION, "nan": float("nan"), "set": {1}, "bytes": b"\xff", (1, 2): 3})
        with trace("child", client=bench.client) as child:
            child.end(outputs={"half a character": "\ud800"})
    top, below = bench.close(item)
    assert top["outputs"] == {"id": str(SESSION), "nan": None, "set": [1], "bytes": "/w==", "(1, 2)": 3}
    assert (top["error"], below["error"]) == (None, None)


def test_attachments_travel_once_and_paths_do_not(bench: Bench) -> None:
    item = bench.open()
    attachments: Any = {"photo": ("image/png", b"\x89PNG"), "a.b": ("text/plain", b"dots are the wire's")}
    with trace("root", client=bench.client, run_id=item.run_id, attachments=attachments):
        pass
    (top,) = bench.close(item)
    assert top.attachments == {"photo": ("image/png", b"\x89PNG")}


# -- what outlives its item --------------------------------------------------------------------------


def test_a_run_that_outlives_its_item_is_posted_as_it_stands_and_patched_at_its_end(bench: Bench) -> None:
    item = bench.open()
    may_end = threading.Event()

    @traceable
    def slow() -> str:
        may_end.wait(60)
        return "late"

    @traceable
    def root() -> str:
        context = contextvars.copy_context()
        threading.Thread(target=begin, args=(context,)).start()
        started.wait(60)
        return "done"

    def begin(context: contextvars.Context) -> None:
        context.run(slow)
        ended.set()

    ended, started = threading.Event(), Started(bench)
    root(langsmith_extra=bench.extra(item))
    assert [run.main["name"] for run in item.unfinished()] == ["slow"]
    top, below = bench.close(item)
    assert (below.kind, below["name"], below["end_time"], below["outputs"]) == ("post", "slow", None, {})
    assert top["end_time"]
    assert bench.emitted == []
    may_end.set()
    assert ended.wait(60)
    (late,) = bench.emitted
    assert (late.kind, late.id) == ("patch", below.id)
    assert late["outputs"] == {"output": "late"}
    assert late["end_time"]
    assert (late["trace_id"], late["dotted_order"]) == (top.id, below["dotted_order"])
    bench.book.flush_loose()
    assert len(bench.emitted) == 1


class Started:
    """Waits until a second run has been posted."""

    def __init__(self, bench: Bench) -> None:
        self._posted = threading.Event()
        self._count = 0
        post = bench.book.post

        def counting(run: dict[str, Any]) -> None:
            post(run)
            self._count += 1
            if self._count == 2:
                self._posted.set()

        bench.client._sink = Counting(bench.book, counting)

    def wait(self, seconds: float) -> None:
        assert self._posted.wait(seconds)


class Counting:
    """The book, with an ear on its posts."""

    def __init__(self, book: TraceBook, post: Callable[[dict[str, Any]], None]) -> None:
        self.post = post
        self.patch, self.name_feedback, self.feedback = book.patch, book.name_feedback, book.feedback
        self.not_taken = book.not_taken


def test_what_begins_after_its_item_has_ended_is_loose(bench: Bench) -> None:
    item = bench.open()

    kept: list[Any] = []

    @traceable
    def root() -> None:
        kept.extend((contextvars.copy_context(), get_current_run_tree()))

    root(langsmith_extra=bench.extra(item))
    bench.close(item)
    kept[0].run(double, 4)
    (late,) = bench.emitted
    assert (late.kind, late["parent_run_id"], late["outputs"]) == ("post", str(item.run_id), {"output": 8})


def test_a_loose_trace_is_emitted_run_by_run_as_they_end(bench: Bench) -> None:
    twice(1)
    assert [(wire.kind, wire["name"]) for wire in bench.emitted] == [
        ("post", "double"),
        ("post", "double"),
        ("post", "twice"),
    ]
    assert all(wire["end_time"] for wire in bench.emitted)


def test_what_is_left_open_of_a_loose_trace_is_flushed_as_it_stands_and_patched_later(bench: Bench) -> None:
    with trace("open", client=bench.client) as run:
        bench.book.flush_loose()
        assert [(wire.kind, wire.id, wire["end_time"]) for wire in bench.emitted] == [
            ("post", str(run.id), None)
        ]
    assert [wire.kind for wire in bench.emitted] == ["post", "patch"]
    assert bench.emitted[1]["end_time"]


# -- live --------------------------------------------------------------------------------------------


def test_live_posts_are_without_the_example_and_the_end_brings_it(live: Bench) -> None:
    item = live.open()
    seen: list[list[Wire]] = []

    @traceable
    def root(x: int) -> int:
        seen.append(list(live.emitted))
        return double(x)

    extra = live.extra(item)
    root(3, langsmith_extra=extra)
    ((start,),) = seen
    assert (start.kind, start.id, start["name"]) == ("post", str(item.run_id), "root")
    assert start["inputs"] == {"x": 3}
    assert start["end_time"] is None
    assert start["reference_example_id"] is None
    assert [(wire.kind, wire["name"]) for wire in live.emitted] == [("post", "root"), ("post", "double")]
    top, child = live.close(item)
    assert (top.kind, top.id, child.kind) == ("patch", str(item.run_id), "patch")
    assert top["reference_example_id"] == str(extra["reference_example_id"])
    assert top["outputs"] == {"output": 6}
    assert top["end_time"]
    assert (top["trace_id"], top["dotted_order"]) == (start["trace_id"], start["dotted_order"])
    assert child["parent_run_id"] == top.id


def test_live_keeps_evaluators_runs_until_the_end(live: Bench) -> None:
    item = live.open()
    with tracing_context(enabled=True, client=live.client, project_name="evaluators", parent=False):
        double(1)
    assert live.emitted == []
    (other,) = live.close(item)
    assert other.kind == "post"
    assert other["end_time"]


# -- scores ------------------------------------------------------------------------------------------


class Twice(RunEvaluator):
    """Gives two scores under one key, and one under another."""

    def evaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: UUID | None = None
    ) -> EvaluationResults:
        results = [EvaluationResult(key=key, score=0.5) for key in ("a", "a", "b")]
        return EvaluationResults(results=results)


def executed(bench: Bench, run_id: UUID) -> list[Wire]:
    """One execution of an attempt, with its scores, as an evaluation makes them."""
    item = bench.open(run_id=run_id)
    with trace("root", client=bench.client, run_id=item.run_id) as tree:
        assert double(2) == 4
    run = Run(
        id=run_id, name="root", run_type="chain", start_time=tree.start_time, inputs={}, trace_id=run_id,
        dotted_order=tree.dotted_order, session_id=SESSION,
    )  # fmt: skip
    item.evaluator = "first"
    bench.client._log_evaluation_feedback(Twice().evaluate_run(run), run)
    item.evaluator = "second"
    bench.client._log_evaluation_feedback(Twice().evaluate_run(run), run)
    return [wire for wire in bench.close(item) if wire.kind == "feedback"]


def test_scores_have_the_same_ids_when_the_same_attempt_is_executed_again(bench: Bench) -> None:
    run_id = uuid4()
    first, second = executed(bench, run_id), executed(bench, run_id)
    assert [wire.id for wire in first] == [wire.id for wire in second]
    assert len({wire.id for wire in first}) == 6
    assert not {wire.id for wire in executed(bench, uuid4())} & {wire.id for wire in first}
    assert [wire["key"] for wire in first] == ["a", "a", "b"] * 2
    assert {(wire["run_id"], wire["trace_id"]) for wire in first} == {(str(run_id), str(run_id))}


def test_scores_come_after_the_runs(bench: Bench) -> None:
    item = bench.open()
    bench.score(item.run_id)
    with trace("root", client=bench.client, run_id=item.run_id):
        pass
    assert [wire.kind for wire in bench.close(item)] == ["post", "feedback"]


def test_a_score_of_a_child_without_trace_id_is_filed_under_the_items_trace(bench: Bench) -> None:
    item = bench.open()
    with trace("root", client=bench.client, run_id=item.run_id):
        with trace("child", client=bench.client) as child:
            pass
    bench.client.create_feedback(child.id, "k", score=1, session_id=SESSION)
    *_, score = bench.close(item)
    assert (score["run_id"], score["trace_id"], score["score"]) == (str(child.id), str(item.run_id), 1)


def test_a_score_of_a_foreign_run_without_trace_id_is_left_to_the_sdk(bench: Bench) -> None:
    bench.open()
    body = orjson.dumps({"id": str(uuid4()), "run_id": str(uuid4())})
    run_id, feedback_id = uuid4(), str(uuid4())
    assert not bench.book.feedback(body, feedback_id, run_id, None)
    assert not bench.book.feedback(body, feedback_id, None, None)
    assert bench.emitted == []


def test_a_score_outside_any_item_is_loose_and_has_an_id_at_random(bench: Bench) -> None:
    run_id = uuid4()
    bench.score(run_id)
    bench.score(run_id)
    assert [wire.kind for wire in bench.emitted] == ["feedback", "feedback"]
    assert len({wire.id for wire in bench.emitted}) == 2


def test_a_score_with_an_id_of_the_users_keeps_it(bench: Bench) -> None:
    item, chosen = bench.open(), uuid4()
    bench.score(item.run_id, feedback_id=chosen)
    (score,) = bench.close(item)
    assert score.id == str(chosen)


def test_only_scores_of_the_items_own_runs_are_asked_for_later(bench: Bench) -> None:
    """What scores another run is delivered with the item; its visibility is not the item's."""
    item, elsewhere = bench.open(), uuid4()
    with trace("root", client=bench.client, run_id=item.run_id):
        pass
    bench.score(item.run_id)
    bench.score(elsewhere)
    *_, own, other = bench.close(item)
    assert (own["run_id"], other["run_id"]) == (str(item.run_id), str(elsewhere))
    assert item.scores == [own.id]
