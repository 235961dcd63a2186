"""A programme that evaluates with the SDK alone, in one environment after the other; told what on stdin, as JSON.

    {"dataset": name, "cases": [{"environ": {...}, "experiment": name, "call": "aevaluate"}, ...]}

Each case gets a client of its own and, but for `end`, is flushed; the SDK's memory of variables is emptied before it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any, cast

from langsmith import Client, aevaluate, evaluate, traceable, tracing_context
from langsmith.utils import get_env_var, get_tracer_project


@traceable
def child(i: int) -> dict[str, int]:
    return {"child": i}


def target(inputs: dict[str, Any]) -> dict[str, Any]:
    child(inputs["i"])
    return {"answer": inputs["i"], "padding": "x" * 1000}


async def atarget(inputs: dict[str, Any]) -> dict[str, Any]:
    return target(inputs)


def score(run: Any, example: Any) -> dict[str, Any]:
    return {"key": "ok", "score": 1}


def evaluated(call: str, client: Client, dataset: str, experiment: Any) -> None:
    common: dict[str, Any] = {"evaluators": [score], "experiment": experiment, "client": client}
    if call == "evaluate":
        for _ in evaluate(target, data=dataset, **common):
            pass
    else:

        async def consume() -> None:
            async for _ in await aevaluate(atarget, data=dataset, max_concurrency=8, **common):
                pass

        asyncio.run(consume())


def traced(client: Client) -> None:
    with tracing_context(client=client):
        for i in range(5):
            child(i)


def main() -> None:
    told = json.load(sys.stdin)
    plain = Client(auto_batch_tracing=False)
    before = dict(os.environ)
    for case in told["cases"]:
        experiment = plain.read_project(project_name=case["experiment"]) if case["experiment"] else None
        os.environ.clear()
        os.environ.update({**before, **case["environ"]})
        for cached in (get_env_var, get_tracer_project):
            cast(Any, cached).cache_clear()
        client = Client()
        if case["call"] == "traceable":
            traced(client)
        else:
            evaluated(case["call"], client, told["dataset"], experiment)
        if not case.get("end"):
            client.flush()


if __name__ == "__main__":
    main()
