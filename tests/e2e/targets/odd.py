"""Targets that are called wrongly, say what no encoding holds, or bring clients of their own."""

from __future__ import annotations

from typing import Any

from langsmith import Client

clients: list[Client] = []


def nothing() -> dict[str, Any]:
    return {}


def surrogates(inputs: dict[str, Any]) -> dict[str, Any]:
    if inputs["i"] % 2:
        raise ValueError("half a pair: \ud800")
    return {"half": "\ud800", "number": float("nan"), "slashes": "\\ud800 \\"}


def own_client(inputs: dict[str, Any]) -> dict[str, Any]:
    if not clients:
        clients.append(Client())
    return {"i": inputs["i"]}


class Stumbles:
    """Its tear-down raises."""

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"i": inputs["i"]}

    def teardown(self) -> None:
        raise RuntimeError("could not let go")
