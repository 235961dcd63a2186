"""The examples of a dataset as they were at a time: those that have left it since too, in the splits of then."""

from __future__ import annotations

from typing import Any

from langsmith import Client
from langsmith.utils import LangSmithError, LangSmithNotFoundError

from evalrunner.service.paging import by_offset

#: What tells which examples an experiment was meant to hold; no inputs, no outputs.
_FIELDS = ("id", "created_at", "modified_at", "metadata")


def examples_then(client: Client, dataset_id: str, when: str) -> list[dict[str, Any]]:
    """Return the examples that a dataset had at a time, in its order; none if it has not changed since.

    None, too, where the service cannot say: then what there is now has to do.

    Raises:
        LangSmithError: the service refuses, or cannot be reached.
    """
    if not when or not _changed_since(client, dataset_id, when):
        return []
    asked = {"dataset": dataset_id, "as_of": when, "select": list(_FIELDS), "exclude_default_fields": True}
    try:
        return [row for page in by_offset(client, "/examples", asked) for row in page]
    except LangSmithNotFoundError:
        return []


def _changed_since(client: Client, dataset_id: str, when: str) -> bool:
    try:
        latest, then = (
            client.request_with_retries("GET", f"/datasets/{dataset_id}/version", params=which).json()[
                "as_of"
            ]
            for which in ({"tag": "latest"}, {"as_of": when})
        )
    except (LangSmithError, ValueError, KeyError, TypeError):
        return False  # whoever cannot be reached will not answer the next question either, which says so
    return bool(latest != then)
