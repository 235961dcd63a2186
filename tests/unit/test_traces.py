"""From the real SDK's calls to whole traces, without any network."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langsmith import trace, traceable
from langsmith.run_helpers import get_current_run_tree, tracing_context
from langsmith.utils import ContextThreadPoolExecutor

from evalrunner.delivery.capture.items import CURRENT
from tests.support.traces import SESSION, Bench, Wire, benches, double, twice


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from benches(live=False)


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
