"""Lists of LangSmith, page by page: by offset (GET), by cursor (POST), and lists of ids in portions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from langsmith import Client

T = TypeVar("T")

#: Rows of a page: the most that every list allows.
PAGE = 100
#: How often a request is tried.
ATTEMPTS = 3

Rows = list[dict[str, Any]]


def by_offset(
    client: Client, path: str, params: dict[str, Any], *, limit: int | None = None, attempts: int = ATTEMPTS
) -> Iterator[Rows]:
    """Return the pages of a list that is asked for with GET, none of them empty.

    Args:
        limit: of rows in all.
        attempts: how often each request is tried.

    Raises:
        LangSmithError: the service refuses, or cannot be reached.
    """
    offset = 0
    while limit is None or offset < limit:
        size = PAGE if limit is None else min(PAGE, limit - offset)
        asked = {**params, "limit": size, "offset": offset}
        page: Rows = client.request_with_retries(
            "GET", path, params=asked, stop_after_attempt=attempts
        ).json()
        if page:
            yield page
        if len(page) < size:
            return
        offset += len(page)


def by_cursor(
    client: Client,
    path: str,
    body: dict[str, Any],
    read: Callable[[dict[str, Any]], tuple[Rows, str | None]],
    attempts: int = ATTEMPTS,
) -> Iterator[dict[str, Any]]:
    """Return the rows of a query that is asked for with POST, over all its pages.

    Args:
        read: takes an answer apart: its rows, and where the next page begins, or None.

    Raises:
        LangSmithError: the service refuses, or cannot be reached.
    """
    asked = dict(body)
    while True:
        sent = {"json": asked}
        answer = client.request_with_retries("POST", path, request_kwargs=sent, stop_after_attempt=attempts)
        rows, cursor = read(answer.json())
        yield from rows
        if not rows or not cursor:
            return
        asked["cursor"] = cursor


def portions(values: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """Divide into lists of at most `size`."""
    return (values[start : start + size] for start in range(0, len(values), size))
