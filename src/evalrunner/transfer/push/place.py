"""The copy's dataset and experiment: found again or made, and never mistaken for something else.

What is ours says so in its metadata, with the id of what it is a copy of. Whatever bears the name without
saying that is left alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from langsmith import Client
from langsmith import utils as sdk

from evalrunner.errors import ServiceError
from evalrunner.protocol.ids import pushed_id
from evalrunner.service.errors import host
from evalrunner.service.paging import portions
from evalrunner.transfer.push.source import Source, examples
from evalrunner.transfer.push.transform import FACTS, example, same_example
from evalrunner.transfer.remote.calls import ASK, get, named, post, rows
from evalrunner.transfer.upload.index import Index

_SCHEMAS = ("description", "data_type", "inputs_schema_definition", "outputs_schema_definition")


@dataclass(frozen=True)
class Snapshot:
    """The dataset there; its examples stand in the index.

    Attributes:
        total: of the examples of the version.
        added: how many of them this push added.
        version: of the newest of them.
        further: how many more examples there are.
    """

    id: UUID
    name: str
    total: int
    added: int
    version: str | None
    further: int


def find_session(client: Client, name: str, source_id: str) -> dict[str, Any] | None:
    """Return the copy of an experiment, or None.

    Raises:
        ServiceError: the name is taken by something else.
    """
    found = named(client, "/sessions", name)
    if found is not None and _origin((found.get("extra") or {}).get("metadata")) != source_id:
        raise ServiceError(
            f"the name {name!r} is taken at {host(client.api_url)} by a project that is no copy of this "
            "experiment; give another with --experiment-name"
        )
    return found


def shift_of(found: Mapping[str, Any]) -> int:
    """Return by how many seconds the push that made a copy moves its times.

    Raises:
        ServiceError: it does not say that.
    """
    try:
        return int(found["extra"]["metadata"][FACTS]["time_shift_seconds"])
    except (KeyError, TypeError, ValueError):
        raise ServiceError(
            f"the experiment {found.get('name')!r} says {FACTS!r} in its metadata, in a form that this evalrunner "
            "does not read; update evalrunner, or give the copy another name with --experiment-name"
        ) from None


def _origin(metadata: Any) -> str | None:
    facts = metadata.get(FACTS) if isinstance(metadata, dict) else None
    return str(facts.get("source_id")) if isinstance(facts, dict) else None


def find_dataset(client: Client, name: str, source_id: str) -> UUID | None:
    """Return the id of a dataset's copy, or None; ServiceError if the name is taken by something else."""
    found = named(client, "/datasets", name)
    if found is None:
        return None
    if _origin(found.get("metadata")) != source_id:
        raise ServiceError(
            f"the name {name!r} is taken at {host(client.api_url)} by a dataset that is no copy of this "
            "experiment's; give another with --dataset-name"
        )
    return UUID(found["id"])


def make_dataset(client: Client, source: Mapping[str, Any], name: str) -> UUID:
    """Make the copy of a dataset, empty."""
    metadata = {**(source.get("metadata") or {}), FACTS: {"source_id": source["id"]}}
    body = {"id": str(uuid4()), "name": name, "extra": {"metadata": metadata}}
    body |= {key: source[key] for key in _SCHEMAS if source.get(key) is not None}
    return UUID(post(client, "/datasets", body)["id"])


def copy_examples(
    client: Client,
    source: Source,
    origin: tuple[Client, str, str | None],
    dataset: UUID,
    name: str,
    index: Index,
) -> Snapshot:
    """Add what the copy lacks of the dataset's version, and note in the index which of its examples are there.

    Args:
        client: of the destination.
        source: fetches attachments.
        origin: client, dataset and version to read.
        dataset, name: of the copy.

    Raises:
        ServiceError: an example there differs from this version's.
    """
    total, added, version = 0, 0, ""
    for page in examples(*origin):
        wanted = {str(pushed_id(dataset, row["id"])): row for row in page}
        there = present(client, dataset, list(wanted))
        _compare(wanted, there, name)
        if lacking := {key: row for key, row in wanted.items() if key not in there}:
            _add(client, source, dataset, lacking)
            there |= present(client, dataset, list(lacking))
        added += len(lacking)
        total += len(wanted)
        index.db.executemany(
            "INSERT OR REPLACE INTO examples VALUES (?, ?, ?)",
            [(key, row["id"], key in there) for key, row in wanted.items()],
        )
        version = max([version, *(row["modified_at"] for row in there.values() if row.get("modified_at"))])
    all_there = get(client, f"/datasets/{dataset}").get("example_count") or 0
    return Snapshot(dataset, name, total, added, version or None, max(0, all_there - total))


def _add(client: Client, source: Source, dataset: UUID, lacking: dict[str, dict[str, Any]]) -> None:
    made = [example(row, key, source.files(row.get("attachment_urls"))) for key, row in lacking.items()]
    # A conflict: the answer to the first try was lost, or another push was faster. What is there is asked next.
    with contextlib.suppress(sdk.LangSmithConflictError):
        client.create_examples(dataset_id=dataset, examples=made)


def _compare(wanted: dict[str, dict[str, Any]], there: dict[str, dict[str, Any]], name: str) -> None:
    other = [key for key, row in there.items() if not same_example(wanted[key], row)]
    if other:
        raise ServiceError(
            f"the dataset {name!r} there holds another version of {len(other)} example(s), first {other[0]}; "
            "give the copy a dataset of its own with --dataset-name"
        )


def present(client: Client, dataset: UUID, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return those of the examples that the dataset has."""
    found: dict[str, dict[str, Any]] = {}
    for some in portions(ids, ASK):
        params = {"dataset": str(dataset), "id": some, "select": ["attachment_urls"]}
        found |= {row["id"]: row for row in rows(client, "/examples", params)}
    return found
