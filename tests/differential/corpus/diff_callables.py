"""The same answer from everything that can be called: what looks async, what is, and what takes which arguments."""

from __future__ import annotations

import asyncio
import functools
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from langchain_core.runnables import RunnableLambda
from langsmith import traceable
from langsmith.run_helpers import as_runnable, get_current_run_tree
from langsmith.run_trees import RunTree

JSON = dict[str, Any]


@traceable
def child(number: int) -> int:
    """Be a child run."""
    return number + 1


@traceable
async def async_child(number: int) -> int:
    """Be an async child run."""
    await asyncio.sleep(0)
    return number + 1


def plain(inputs: JSON) -> JSON:
    return {"sum": child(inputs["i"])}


async def agent(inputs: JSON) -> JSON:
    return {"sum": await async_child(inputs["i"])}


def with_prefix(prefix: str, inputs: JSON) -> JSON:
    return {"sum": child(inputs["i"]), "prefix": prefix}


async def async_with_prefix(prefix: str, inputs: JSON) -> JSON:
    return {"sum": await async_child(inputs["i"]), "prefix": prefix}


partial = functools.partial(with_prefix, "p")
async_partial = functools.partial(async_with_prefix, "p")
partial_of_partial = functools.partial(functools.partial(async_with_prefix), "p")


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate as most decorators do: the wrapper is no coroutine function, whatever it wraps."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


wrapped = logged(plain)
wrapped_async = logged(agent)


def by_itself(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Decorate an async function into a sync one that runs a loop of its own."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(function(*args, **kwargs))  # type: ignore[arg-type]

    return call


runs_a_loop = by_itself(agent)


class Methods:
    """Every kind of method."""

    def bound(self, inputs: JSON) -> JSON:
        return plain(inputs)

    async def async_bound(self, inputs: JSON) -> JSON:
        return await agent(inputs)

    @classmethod
    def of_class(cls, inputs: JSON) -> JSON:
        return plain(inputs)

    @staticmethod
    def static(inputs: JSON) -> JSON:
        return plain(inputs)

    def later(self, inputs: JSON) -> Awaitable[JSON]:
        return agent(inputs)

    @traceable
    def traced(self, inputs: JSON) -> JSON:
        return plain(inputs)

    @traceable(name="traced method")
    async def async_traced(self, inputs: JSON) -> JSON:
        return await agent(inputs)


methods = Methods()
bound, async_bound, of_class, static, later = (
    methods.bound,
    methods.async_bound,
    Methods.of_class,
    Methods.static,
    methods.later,
)
traced_method, async_traced_method = methods.traced, methods.async_traced


class Called:
    """An object that can be called."""

    def __call__(self, inputs: JSON) -> JSON:
        return plain(inputs)


class AsyncCalled:
    """An object that can be called and awaits."""

    async def __call__(self, inputs: JSON) -> JSON:
        return await agent(inputs)


class LaterCalled:
    """An object whose call gives something to await."""

    def __call__(self, inputs: JSON) -> Awaitable[JSON]:
        return agent(inputs)


class NamedInvoke:
    """Has a Runnable's methods and is none: it is called."""

    def invoke(self, inputs: JSON) -> JSON:
        raise AssertionError("nobody asked for this")

    async def ainvoke(self, inputs: JSON) -> JSON:
        raise AssertionError("nobody asked for this")

    def __call__(self, inputs: JSON) -> JSON:
        return plain(inputs)


class Promise:
    """Awaitable by its method alone."""

    def __init__(self, inputs: JSON) -> None:
        self._inputs = inputs

    def __await__(self) -> Iterator[Any]:
        return agent(self._inputs).__await__()


called, async_called, later_called, named_invoke = Called(), AsyncCalled(), LaterCalled(), NamedInvoke()
partial_of_async_called = functools.partial(AsyncCalled())
a_lambda = lambda inputs: plain(inputs)
lambda_of_async = lambda inputs: agent(inputs)
lambda_of_promise = lambda inputs: Promise(inputs)
lambda_of_twice = lambda inputs: logged(later)(inputs)


async def gives_a_coroutine(inputs: JSON) -> Any:
    return agent(inputs)


@types.coroutine
def generator_based(inputs: JSON) -> Any:
    answer = yield from agent(inputs).__await__()
    return answer


@traceable(name="looks sync", tags=["t"], metadata={"m": 1})
def traced_later(inputs: JSON) -> Any:
    return agent(inputs)


@traceable(process_outputs=lambda outputs: {"processed": outputs})
def traced_later_processed(inputs: JSON) -> Any:
    return agent(inputs)


@traceable
async def traced_gives_a_coroutine(inputs: JSON) -> Any:
    return agent(inputs)


# -- LangChain -------------------------------------------------------------------------------------------

runnable = RunnableLambda(plain, name="a runnable")
async_runnable: Any = RunnableLambda(agent)
chain: Any = RunnableLambda(lambda inputs: inputs["i"]) | RunnableLambda(lambda number: {"sum": number + 1})
configured: Any = RunnableLambda(plain).with_config(tags=["rt"], metadata={"rm": 1}, run_name="configured")


@traceable
def by_keyword(i: int, text: str, case: str) -> JSON:
    return {"sum": child(i), "text": text}


from_traceable: Any = as_runnable(by_keyword)


# -- @traceable ------------------------------------------------------------------------------------------


@traceable(name="named", tags=["a", "b"], metadata={"k": "v"}, run_type="retriever")
def traced(inputs: JSON) -> JSON:
    return plain(inputs)


@traceable(name="async named", tags=["a"], metadata={"k": "v"}, run_type="llm")
async def async_traced(inputs: JSON) -> JSON:
    return {**(await agent(inputs)), "usage_metadata": {"input_tokens": 1, "output_tokens": 2}}


wrapped_traced, wrapped_async_traced = logged(traced), logged(async_traced)


@traceable(
    process_inputs=lambda inputs: {"hidden": True}, process_outputs=lambda outputs: {"kept": outputs["sum"]}
)
def processed(inputs: JSON) -> JSON:
    return plain(inputs)


def _fails(_: Any) -> Any:
    raise ValueError("cannot be processed")


@traceable(process_inputs=_fails, process_outputs=_fails)
def processed_badly(inputs: JSON) -> JSON:
    return plain(inputs)


partial_of_traced = functools.partial(traceable(with_prefix), "p")


@traceable(exceptions_to_handle=(ValueError,))
def handled(inputs: JSON) -> JSON:
    raise ValueError("not sent")


# -- arguments -------------------------------------------------------------------------------------------


def other_name(question: JSON) -> JSON:
    return plain(question)


def with_metadata(inputs: JSON, metadata: JSON) -> JSON:
    return {**plain(inputs), "metadata": metadata}


def metadata_first(metadata: JSON, inputs: JSON) -> JSON:
    return {**plain(inputs), "metadata": metadata}


def with_defaults(inputs: JSON, temperature: float = 0.5, *, top: int = 3) -> JSON:
    return {**plain(inputs), "temperature": temperature, "top": top}


def metadata_by_default(inputs: JSON, metadata: JSON | None = None) -> JSON:
    return {**plain(inputs), "metadata": metadata}


def positional(inputs: JSON, /) -> JSON:
    return plain(inputs)


def with_more(inputs: JSON, *args: Any, **kwargs: Any) -> JSON:
    return {**plain(inputs), "more": [list(args), kwargs]}


def with_run_tree(inputs: JSON, *, run_tree: RunTree) -> JSON:
    with_child = run_tree.create_child("by hand", inputs={"x": 1})
    with_child.post()
    with_child.end(outputs={"y": 1})
    with_child.patch()
    return plain(inputs)


async def async_with_run_tree(inputs: JSON, *, run_tree: RunTree) -> JSON:
    run_tree.add_tags(["by hand"])
    run_tree.add_metadata({"by": "hand"})
    return await agent(inputs)


def with_config(inputs: JSON, config: Any = None) -> JSON:
    return {**plain(inputs), "config": config}


def attachments(inputs: JSON, attachments: dict[str, Any]) -> JSON:
    """Read them to the end."""
    found = {name: value["reader"].read().decode() for name, value in attachments.items()}
    return {**plain(inputs), "found": found, "types": [one["mime_type"] for one in attachments.values()]}


async def async_attachments(inputs: JSON, attachments: dict[str, Any], metadata: JSON) -> JSON:
    found = {name: value["reader"].read().decode() for name, value in attachments.items()}
    return {**(await agent(inputs)), "found": found, "metadata": metadata}


# -- generators ------------------------------------------------------------------------------------------


def generator(inputs: JSON) -> Iterator[Any]:
    yield child(inputs["i"])
    yield {"text": "two"}


def generator_with_a_return(inputs: JSON) -> Any:
    yield child(inputs["i"])
    return "the end"


def empty_generator(inputs: JSON) -> Iterator[Any]:
    yield from ()


def generator_of_messages(inputs: JSON) -> Iterator[Any]:
    yield "not in a run" if get_current_run_tree() is None else "in a run"
    yield child(inputs["i"])


async def async_generator(inputs: JSON) -> AsyncIterator[Any]:
    yield await async_child(inputs["i"])
    yield {"text": "two"}


async def empty_async_generator(inputs: JSON) -> AsyncIterator[Any]:
    nothing: list[int] = []
    for one in nothing:
        yield one


class Streams:
    """Its calls are generators."""

    def __call__(self, inputs: JSON) -> Iterator[Any]:
        yield child(inputs["i"])


class AsyncStreams:
    """Its calls are async generators."""

    async def __call__(self, inputs: JSON) -> AsyncIterator[Any]:
        yield await async_child(inputs["i"])


streams, async_streams = Streams(), AsyncStreams()
lambda_of_generator = lambda inputs: generator(inputs)
lambda_of_async_generator = lambda inputs: async_generator(inputs)
partial_of_generator = functools.partial(generator)


async def gives_an_async_generator(inputs: JSON) -> Any:
    return async_generator(inputs)


traced_generator = traceable(name="traced generator", tags=["g"])(generator)
traced_async_generator = traceable(run_type="llm")(async_generator)


def _joined(chunks: Any) -> JSON:
    return {"joined": [str(chunk) for chunk in chunks]}


reduced_generator: Any = traceable(reduce_fn=_joined)(generator)
reduced_async_generator: Any = traceable(reduce_fn=_joined)(async_generator)
reduced_badly: Any = traceable(reduce_fn=_fails)(generator)


@traceable(reduce_fn=_joined)
def reduced_stream(inputs: JSON) -> Any:
    return iter([child(inputs["i"]), "two"])


@traceable(reduce_fn=_joined)
async def reduced_async_stream(inputs: JSON) -> Any:
    return async_generator(inputs)


@traceable
def traced_gives_a_generator(inputs: JSON) -> Any:
    return generator(inputs)


# -- what is meant by those of the above that the SDK does not understand ------------------------------------


@traceable(name="looks sync", tags=["t"], metadata={"m": 1})
async def meant_by_traced_later(inputs: JSON) -> Any:
    return await agent(inputs)


@traceable(name="traced_later_processed", process_outputs=lambda outputs: {"processed": outputs})
async def meant_by_traced_later_processed(inputs: JSON) -> Any:
    return await agent(inputs)


@traceable(name="traced_gives_a_coroutine")
async def meant_by_traced_gives_a_coroutine(inputs: JSON) -> Any:
    return await agent(inputs)


meant_by_traced_gives_a_generator = traceable(name="traced_gives_a_generator")(generator)


def meant_by_streams(inputs: JSON) -> Iterator[Any]:
    yield child(inputs["i"])


async def meant_by_async_streams(inputs: JSON) -> AsyncIterator[Any]:
    yield await async_child(inputs["i"])


def meant_by_runs_a_loop(inputs: JSON) -> Any:
    return asyncio.run(agent(inputs))
