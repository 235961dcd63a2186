"""Targets that trace by other means than returning: `trace`, run trees, threads, clients of their own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from diff_callables import async_child, child  # type: ignore[import-not-found]
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langsmith import Client, get_current_run_tree, trace, traceable, tracing_context
from langsmith.run_trees import RunTree
from langsmith.utils import ContextThreadPoolExecutor

JSON = dict[str, Any]


def with_trace(inputs: JSON) -> JSON:
    with trace("block", "tool", inputs={"a": 1}, tags=["x"], metadata={"y": 2}) as run:
        run.end(outputs={"b": child(inputs["i"])})
    return {"done": True}


async def with_async_trace(inputs: JSON) -> JSON:
    async with trace("block", "llm", inputs={"a": 1}) as run:
        run.end(outputs={"b": await async_child(inputs["i"]), "usage_metadata": {"input_tokens": 5}})
    return {"done": True}


def with_bad_trace(inputs: JSON) -> JSON:
    try:
        with trace("block", inputs={"a": 1}):
            child(inputs["i"])
            raise ValueError("inside")
    except ValueError:
        return {"done": True}


def with_run_tree(inputs: JSON) -> JSON:
    parent = get_current_run_tree()
    assert parent is not None
    below = parent.create_child("by hand", "tool", inputs={"a": 1}, tags=["hand"])
    below.post()
    grandchild = below.create_child("below", "llm", inputs={})
    grandchild.post()
    grandchild.end(outputs={"c": 1})
    grandchild.patch()
    below.end(outputs={"b": 1}, error="by hand")
    below.patch()
    return {"done": True}


def changes_its_root(inputs: JSON) -> JSON:
    run = get_current_run_tree()
    assert run is not None
    run.add_tags(["later"])
    run.add_metadata({"later": 1})
    run.add_outputs({"early": True})
    run.add_event({"name": "happened", "time": "2026-01-01T00:00:00+00:00"})
    return {"done": True}


def nested(inputs: JSON) -> JSON:
    return {"three": _outer(inputs["i"])}


@traceable(run_type="chain", tags=["outer"], metadata={"level": 1})
def _outer(number: int) -> int:
    return int(_inner(number)) + int(child(number))


@traceable(run_type="tool", metadata={"level": 2})
def _inner(number: int) -> int:
    return int(child(number))


async def gathered(inputs: JSON) -> JSON:
    return {"all": list(await asyncio.gather(*(async_child(number) for number in range(3))))}


async def to_thread(inputs: JSON) -> JSON:
    return {"sum": await asyncio.to_thread(child, inputs["i"])}


def threads_with_context(inputs: JSON) -> JSON:
    with ContextThreadPoolExecutor(2) as pool:
        return {"all": list(pool.map(child, range(2)))}


def threads_with_a_copied_context(inputs: JSON) -> JSON:
    with ThreadPoolExecutor(1) as pool:
        return {"sum": pool.submit(contextvars.copy_context().run, child, inputs["i"]).result()}


def threads_without_context(inputs: JSON) -> JSON:
    """Its call is not traced, or traced by itself: but it is called."""
    with ThreadPoolExecutor(1) as pool:
        return {"sum": pool.submit(child, inputs["i"]).result()}


def threads_with_a_parent(inputs: JSON) -> JSON:
    parent = get_current_run_tree()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(lambda: child(inputs["i"], langsmith_extra={"parent": parent}))
        return {"sum": done.result()}


def thread_of_its_own(inputs: JSON) -> JSON:
    context = contextvars.copy_context()
    found: list[int] = []
    thread = threading.Thread(target=context.run, args=(lambda: found.append(child(inputs["i"])),))
    thread.start()
    thread.join()
    return {"sum": found[0]}


def untraced(inputs: JSON) -> JSON:
    with tracing_context(enabled=False):
        return {"sum": child(inputs["i"])}


def in_a_context(inputs: JSON) -> JSON:
    with tracing_context(tags=["ctx"], metadata={"ctx": 1}):
        return {"sum": child(inputs["i"])}


def client_of_its_own(inputs: JSON) -> JSON:
    """Only reads with it."""
    client = Client()
    return {"sum": child(inputs["i"]), "is_one": bool(client.api_url)}


def child_by_another_client(inputs: JSON) -> JSON:
    client = Client(auto_batch_tracing=False)
    return {"sum": child(inputs["i"], langsmith_extra={"client": client})}


def names_by_extra(inputs: JSON) -> JSON:
    extra = {"name": "renamed", "tags": ["extra"], "metadata": {"extra": 1}}
    return {"sum": child(inputs["i"], langsmith_extra=extra)}


def model(inputs: JSON) -> JSON:
    """A chat model of LangChain below the root."""
    usage: Any = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    answer = AIMessage(content="yes", id="m", usage_metadata=usage)
    return {"said": GenericFakeChatModel(messages=iter([answer])).invoke("?").content}


async def async_model(inputs: JSON) -> JSON:
    answer = AIMessage(content="yes", id="m")
    return {"said": (await GenericFakeChatModel(messages=iter([answer])).ainvoke("?")).content}


@tool
def add_one(number: int) -> int:
    """Add one."""
    return number + 1


def uses_a_tool(inputs: JSON) -> JSON:
    return {"sum": add_one.invoke({"number": inputs["i"]})}


def attaches(inputs: JSON) -> JSON:
    run = get_current_run_tree()
    assert run is not None
    run.attachments["plot"] = ("text/plain", b"pixels")  # type: ignore[assignment]
    return {"done": True}


def a_root_of_its_own(inputs: JSON) -> JSON:
    """A trace beside the item's, in the same project."""
    run = RunTree(name="beside", inputs={"i": inputs["i"]}, project_name="beside")
    run.end(outputs={"ok": True})
    return {"made": run.name}


def every(inputs: JSON) -> Any:
    """Be the target that the example names: one run for all of them."""
    return globals()[inputs["case"]](inputs)


async def every_async(inputs: JSON) -> Any:
    """The same for the async ones."""
    return await globals()[inputs["case"]](inputs)
