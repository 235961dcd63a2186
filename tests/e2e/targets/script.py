"""A script as a user writes it: everything that is evaluated is defined in `__main__`."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import httpx
import langsmith
import pydantic

import evalrunner
from evalrunner.errors import EvalrunnerError

JSON = dict[str, Any]
OFFSET = 1


def helper(number: int) -> int:
    """Be called by a function of __main__."""
    return number + OFFSET


def by_name(inputs: JSON) -> JSON:
    """Use a global and another function of __main__."""
    return {"sum": helper(inputs["i"])}


def closure(offset: int) -> Any:
    """Make a function that remembers."""

    async def target(inputs: JSON) -> JSON:
        return {"sum": inputs["i"] + offset}

    return target


class Model:
    """Built in the worker."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, inputs: JSON) -> JSON:
        with self.lock:
            return by_name(inputs)


@langsmith.traceable
def traced(inputs: JSON) -> JSON:
    """Make its own root run."""
    return by_name(inputs)


@langsmith.traceable(name="async_traced")
async def async_traced(inputs: JSON) -> JSON:
    """Make its own root run, and wait a little."""
    await asyncio.sleep(0)
    return by_name(inputs)


class Answer(pydantic.BaseModel):
    """What a target returns as an object."""

    sum: int


@dataclass
class Sum:
    """What it works with inside."""

    sum: int


def pydantic_inside(inputs: JSON) -> JSON:
    """Use a pydantic class and a dataclass of the script."""
    return Answer.model_validate(asdict(Sum(helper(inputs["i"])))).model_dump()


def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap as decorators do."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@functools.lru_cache
def cached(number: int) -> int:
    """Remember."""
    return helper(number)


@decorate
def decorated(inputs: JSON) -> JSON:
    """Use what remembers."""
    return {"sum": cached(inputs["i"])}


CLIENT = langsmith.Client(auto_batch_tracing=False)


def with_client(inputs: JSON) -> JSON:
    """Ask a client of the script's."""
    return {"sum": helper(inputs["i"]), "url": CLIENT.api_url}


ENVIRON = os.environ
HTTP = httpx.Client(base_url="http://127.0.0.1:9")
KEPT = Model()
REMEMBERED = weakref.WeakKeyDictionary({KEPT: OFFSET})


def with_http(inputs: JSON) -> JSON:
    """Have a client as OpenAI's SDK has one in it: TLS settings, locks, a pool."""
    return {"sum": helper(inputs["i"]), "to": str(HTTP.base_url)}


@functools.singledispatch
def dispatching(inputs: Any) -> JSON:
    """Be chosen by the type of what is given."""
    return {"sum": 0, "type": str(type(inputs))}


@dispatching.register(dict)
def _(inputs: JSON) -> JSON:
    return {"sum": inputs["i"] + REMEMBERED[KEPT]}


def with_environment(inputs: JSON) -> JSON:
    """Ask the environment by a name of its own: it must be the one of the process that asks."""
    return {"sum": helper(inputs["i"]) if ENVIRON is os.environ else 0}


def inside(thing: Any) -> Any:
    """Make a closure over a lock that must be there, and must open."""

    def target(inputs: JSON) -> JSON:
        with thing:
            return {"sum": helper(inputs["i"])}

    return target


def handled(handler: logging.Handler) -> Any:
    """Make a closure over a handler; it has a lock, and a stream."""

    def target(inputs: JSON) -> JSON:
        handler.handle(logging.makeLogRecord({"msg": "handled"}))
        return {"sum": helper(inputs["i"])}

    return target


def holding(thing: Any) -> Any:
    """Make a closure over something that cannot be carried."""

    def target(inputs: JSON) -> JSON:
        return {"sum": inputs["i"], "thing": str(thing)}

    return target


def right(outputs: JSON, reference_outputs: JSON) -> bool:
    """Score it."""
    return bool(outputs["sum"] == reference_outputs["i"] + 1)


def mean(outputs: list[JSON]) -> float:
    """Sum it up."""
    return sum(float(one["sum"]) for one in outputs) / len(outputs)


TARGETS = {
    "lambda": lambda inputs: {"sum": inputs["i"] + OFFSET},
    "function": by_name,
    "closure": closure(1),
    "class": Model,
    "instance with a lock": Model(),
    "traced": traced,
    "closure over a lock": holding(threading.Lock()),
    "closure over an RLock": inside(threading.RLock()),
    "closure over a Condition": inside(threading.Condition()),
    "closure over a handler": handled(logging.StreamHandler()),
    "async traced": async_traced,
    "pydantic inside": pydantic_inside,
    "decorated": decorated,
    "client": with_client,
    "HTTP client": with_http,
    "singledispatch": dispatching,
    "environment": with_environment,
    "closure over a database": holding(sqlite3.connect(":memory:")),
    "closure over a thread": holding(threading.Thread()),
    "closure over a generator": holding(number for number in range(3)),
}

if __name__ == "__main__":
    print("this script runs once")

    def start(kind: str, dataset: str) -> Any:
        """Evaluate."""
        return evalrunner.run(
            TARGETS[kind],
            data=dataset,
            evaluators=[right, lambda outputs: {"key": "whole", "score": isinstance(outputs["sum"], int)}],
            summary_evaluators=[mean],
            workers=2,
        )

    async def start_in_a_loop(kind: str, dataset: str) -> Any:
        """Evaluate where a notebook would: inside a running loop."""
        return start(kind, dataset)

    code = 0
    for kind, dataset in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        try:
            if kind.startswith("loop "):
                receipt = asyncio.run(start_in_a_loop(kind.removeprefix("loop "), dataset))
            else:
                receipt = start(kind, dataset)
        except EvalrunnerError as error:
            print(json.dumps({"error": str(error), "kind": type(error).__name__}))
            code = 2
        else:
            print(json.dumps([receipt.exit_code, receipt.experiment["name"], receipt.summary]))
    sys.exit(code)
