"""A target as the worker calls it: whatever the user gave, one root run, and nothing that escapes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core.runnables import RunnableLambda
from langsmith import traceable
from langsmith.run_helpers import tracing_context
from langsmith.schemas import LangSmithInfo
from pydantic import RootModel

from evalrunner.delivery.capture.items import CURRENT, ItemTrace
from evalrunner.delivery.capture.sdk import RecordingClient
from evalrunner.delivery.capture.traces import TraceBook
from evalrunner.errors import TargetError
from evalrunner.worker.code.containing import Aborted
from evalrunner.worker.code.home import Home
from evalrunner.worker.code.setting_up import set_up
from evalrunner.worker.code.target import Target


class Numbers(RootModel[list[int]]):
    """A model without fields of its own."""


class Stage:
    """Calls a target as a lane does, without any network."""

    def __init__(self) -> None:
        self.book = TraceBook(lambda operations: None)
        self.client = RecordingClient(
            self.book,
            api_url="http://127.0.0.1:9",
            api_key="key",
            info=LangSmithInfo(version="0.14.0"),
            tracing_sampling_rate=1.0,
        )
        self.ended: list[UUID] = []

    async def call(self, target: Target, *args: Any) -> ItemTrace:
        item = self.book.open(0, 1, uuid4())
        CURRENT.set(item)
        target.open_pool(1)
        extra = {
            "run_id": item.run_id,
            "reference_example_id": str(uuid4()),
            "project_name": "experiment",
            "metadata": {"evalrunner_attempt": 1},
            "client": self.client,
            "on_end": lambda run: self.ended.append(run.id),
        }
        with tracing_context(enabled=True, client=self.client, project_name="experiment"):
            await target(args or ({"x": 3},), extra)
        return item

    def run(self, target: Any, *args: Any) -> ItemTrace:
        home = Home()
        item: ItemTrace = home.live(self.call(Target(target, home), *args))
        return item


def outputs(item: ItemTrace) -> bytes:
    return item.runs[item.run_id].big["outputs"]


def plain(inputs: dict[str, int]) -> dict[str, int]:
    return {"y": 2 * inputs["x"]}


async def awaited(inputs: dict[str, int]) -> dict[str, int]:
    await asyncio.sleep(0)
    return {"y": 2 * inputs["x"]}


@traceable
def traced(inputs: dict[str, int]) -> dict[str, int]:
    return {"y": 2 * inputs["x"]}


@traceable
async def traced_async(inputs: dict[str, int]) -> dict[str, int]:
    return {"y": 2 * inputs["x"]}


class Plain:
    """An object that can be called."""

    def __call__(self, inputs: dict[str, int]) -> dict[str, int]:
        return {"y": 2 * inputs["x"]}


class Awaiting:
    """An object that can be called and awaits."""

    async def __call__(self, inputs: dict[str, int]) -> dict[str, int]:
        return {"y": 2 * inputs["x"]}


@pytest.mark.parametrize(
    ("target", "is_async", "name"),
    [
        (plain, False, "plain"),
        (awaited, True, "awaited"),
        (traced, False, "traced"),
        (traced_async, True, "traced_async"),
        (Plain(), False, "Plain"),
        (Awaiting(), True, "Awaiting"),
        (RunnableLambda(plain), True, "plain"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_kind_of_target_makes_one_root_run(target: Any, is_async: bool, name: str) -> None:
    stage = Stage()
    assert Target(target, Home()).is_async is is_async
    item = stage.run(target)
    roots = [run for run in item.own() if "parent_run_id" not in run.main]
    assert [run.id for run in roots] == [item.run_id]
    root = roots[0]
    assert root.ended
    assert root.main["name"] == name
    assert root.main["reference_example_id"]
    assert root.error is None
    assert outputs(item) == b'{"y":6}'
    assert stage.ended == [item.run_id]


def test_an_answer_that_is_no_dict_becomes_one() -> None:
    assert outputs(Stage().run(lambda inputs: 7)) == b'{"output":7}'


@pytest.mark.parametrize("traced_again", [False, True], ids=["sync", "awaited later"])
def test_a_model_that_is_dumped_as_no_dict_is_an_answer_too(traced_again: bool) -> None:
    """The SDK raises "'list' object has no attribute 'get'" in the middle of ending the run."""

    async def later(inputs: dict[str, int]) -> Any:
        return Numbers([inputs["x"]])

    def target(inputs: dict[str, int]) -> Any:
        return later(inputs) if traced_again else Numbers([inputs["x"]])

    stage = Stage()
    item = stage.run(target)
    assert outputs(item) == b'{"output":[3]}'
    assert stage.ended == [item.run_id]


def test_inputs_are_recorded_wherever_the_target_wants_them() -> None:
    def target(metadata: dict[str, str], inputs: dict[str, int]) -> int:
        return len(metadata)

    item = Stage().run(target, {"m": "1"}, {"x": 5})
    assert item.runs[item.run_id].big["inputs"] == b'{"x":5}'


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), StopIteration()]
)
@pytest.mark.parametrize("kind", ["sync", "async", "traceable"])
def test_nothing_that_a_target_raises_ends_the_worker(error: BaseException, kind: str) -> None:
    def bad(inputs: Any) -> Any:
        raise error

    async def bad_async(inputs: Any) -> Any:
        raise error

    targets: dict[str, Callable[..., Any]] = {"sync": bad, "async": bad_async, "traceable": traceable(bad)}
    stage = Stage()

    with pytest.raises((Aborted, RuntimeError)):
        stage.run(targets[kind])
    (item,) = stage.book._items.values()
    root = item.runs[item.run_id]
    assert root.ended
    assert type(error).__name__ in (root.error or "")
    assert stage.ended == [item.run_id]


def test_an_ordinary_error_stands_in_the_run_and_goes_on_to_the_lane() -> None:
    stage = Stage()

    def bad(inputs: Any) -> Any:
        raise ValueError("three is too much")

    with pytest.raises(ValueError, match="three"):
        stage.run(bad)
    (item,) = stage.book._items.values()
    assert "three is too much" in (item.runs[item.run_id].error or "")


def test_a_sync_target_with_one_lane_is_always_called_in_the_thread_that_is_its_home() -> None:
    seen: list[int] = []
    stage, home = Stage(), Home()
    target = Target(lambda inputs: seen.append(threading.get_ident()), home)

    async def run() -> int:
        for _ in range(5):
            await stage.call(target)
        return threading.get_ident()

    loop = home.live(run())
    assert set(seen) == {threading.get_ident()} != {loop}


def test_attachments_are_asked_for_by_name() -> None:
    assert Target(lambda inputs, attachments: 1, Home()).takes_attachments
    assert not Target(plain, Home()).takes_attachments


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TargetError, match="the target is of type int, which cannot be called"):
        Target(3, Home())


# -- set-up ------------------------------------------------------------------------------------------


def prepared(named: Any, *, factory: bool = False) -> tuple[Target, list[str]]:
    EVENTS.clear()

    home = Home()

    async def run() -> Target:
        async with AsyncExitStack() as stack:
            target = await set_up(named, factory=factory, stack=stack, home=home)
            EVENTS.append("working")
        return target

    target: Target = home.live(run())
    return target, list(EVENTS)


EVENTS: list[str] = []


class Model:
    """Wants to be set up and torn down, and is a context manager on top."""

    def __init__(self) -> None:
        EVENTS.append("made")

    def __enter__(self) -> Model:
        EVENTS.append("entered")
        return self

    def __exit__(self, *_: object) -> None:
        EVENTS.append("left")

    async def setup(self) -> None:
        EVENTS.append("set up")

    def teardown(self) -> None:
        EVENTS.append("torn down")

    def __call__(self, inputs: dict[str, int]) -> dict[str, int]:
        return inputs


def test_a_class_is_made_entered_and_set_up_once_and_the_opposite_in_the_end() -> None:
    target, events = prepared(Model)
    assert events == ["made", "entered", "set up", "working", "torn down", "left"]
    assert target.name == "Model"


def test_a_plain_function_is_left_as_it_is() -> None:
    target, events = prepared(plain)
    assert events == ["working"]
    assert target.name == "plain"


@pytest.mark.parametrize("kind", ["plain", "async", "context"])
def test_a_factory_is_called_once(kind: str) -> None:
    def make() -> Any:
        EVENTS.append("called")
        return plain

    async def make_async() -> Any:
        return make()

    @asynccontextmanager
    async def make_context() -> Any:
        yield make()
        EVENTS.append("left")

    named = {"plain": make, "async": make_async, "context": make_context}[kind]
    target, events = prepared(named, factory=True)
    assert events == ["called", "working"] + ["left"] * (kind == "context")
    assert target.name == "plain"


def test_a_factory_that_makes_nothing_callable_is_refused() -> None:
    with pytest.raises(TargetError, match="NoneType"):
        prepared(lambda: None, factory=True)
