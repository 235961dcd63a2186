"""A script as a user writes it: everything that is evaluated is defined in `__main__`."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import langsmith

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
    "closure over a generator": holding(number for number in range(3)),
}

if __name__ == "__main__":
    print("this script runs once")
    try:
        receipt = evalrunner.run(
            TARGETS[sys.argv[1]],
            dataset=sys.argv[2],
            evaluators=[right, lambda outputs: {"key": "whole", "score": isinstance(outputs["sum"], int)}],
            summary_evaluators=[mean],
            workers=2,
        )
    except EvalrunnerError as error:
        print(json.dumps({"error": str(error), "kind": type(error).__name__}))
        sys.exit(2)
    found = [receipt.exit_code, receipt.experiment["name"], receipt.summary]
    print(json.dumps(found))
