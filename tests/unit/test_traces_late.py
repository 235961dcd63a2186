"""What comes when its item has ended, or before, because it is shown live; and what belongs to no item."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langsmith import trace, traceable
from langsmith.run_helpers import get_current_run_tree, tracing_context

from evalrunner.delivery.capture.traces import TraceBook
from tests.support.traces import Bench, Wire, benches, double, twice


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from benches(live=False)


@pytest.fixture
def live() -> Iterator[Bench]:
    yield from benches(live=True)


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
