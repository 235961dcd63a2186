"""Single calls that the SDK has no method for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from langsmith import Client
from langsmith import utils as sdk

from evalrunner.errors import ServiceError
from evalrunner.service.errors import host
from evalrunner.service.paging import by_offset

#: Ids at once in the address of a GET, 40 bytes each.
ASK = 50


def rows(client: Client, path: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the rows of a list, over all its pages."""
    return chain.from_iterable(by_offset(client, path, params))


def get(client: Client, path: str, params: dict[str, Any] | None = None) -> Any:
    """Return what a GET answers."""
    return client.request_with_retries("GET", path, params=params or {}, stop_after_attempt=3).json()


def named(client: Client, path: str, name: str) -> dict[str, Any] | None:
    """Return what bears a name, and nothing that a service answers in its place."""
    found: list[dict[str, Any]] = get(client, path, {"name": name, "limit": 1})
    return found[0] if found and found[0]["name"] == name else None


def post(client: Client, path: str, body: Mapping[str, Any]) -> Any:
    """Return what was made under an id of ours; ServiceError if somebody else took its name in the meantime."""
    try:
        return client.request_with_retries(
            "POST", path, request_kwargs={"json": dict(body)}, stop_after_attempt=3
        ).json()
    except sdk.LangSmithConflictError:
        # The SDK tries again when an answer is lost, and then its own first try is in its way.
        with contextlib.suppress(sdk.LangSmithNotFoundError):
            return get(client, f"{path}/{body['id']}")
        raise ServiceError(
            f"{body.get('name')!r} has just been made by somebody else at {host(client.api_url)}; push again"
        ) from None
