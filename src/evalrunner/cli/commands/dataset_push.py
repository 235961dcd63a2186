"""Pushing examples and listing datasets, through the SDK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from langsmith import Client
from langsmith import utils as sdk
from langsmith.schemas import Dataset

from evalrunner.cli.files.examples import Row
from evalrunner.config import Endpoint
from evalrunner.errors import ServiceError
from evalrunner.service.client import look_for_dataset, make_client
from evalrunner.service.errors import told
from evalrunner.service.preflight import check

#: Examples per request, and ids per question: ids stand in the address, 40 bytes each.
_BATCH = 100
_ASK = 50
T = TypeVar("T")


@dataclass(frozen=True)
class Pushed:
    """What a push came to; `visible` says that every row of the file was read back."""

    dataset: str
    id: str
    created: bool
    added: int
    already: int
    read_back: int
    total: int

    @property
    def visible(self) -> bool:
        """Every row of the file is there."""
        return self.read_back == self.added + self.already

    def sentence(self) -> str:
        """Say it."""
        new = "created; " if self.created else ""
        text = f"dataset {self.dataset!r} ({self.id}): {new}{self.added} added, {self.already} already there"
        if not self.visible:
            missing = self.added + self.already - self.read_back
            return f"{text}; {missing} not yet readable: push again to be sure"
        return (
            f"{text}; read back: {self.read_back} of {self.added + self.already}, {self.total} in the dataset"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def push_examples(endpoint: Endpoint, name: str, description: str | None, rows: list[Row]) -> Pushed:
    """Add what is not there yet, and read it back.

    Raises:
        ServiceError: the service does not take it.
    """
    client = make_client(endpoint)
    check(client)
    with told(client):
        found = look_for_dataset(client, name)
        dataset = found or client.create_dataset(name, description=description)
        ids = [str(row.id) for row in rows]
        known = set() if found is None else _present(client, dataset, ids)
        missing = [row for row in rows if str(row.id) not in known]
        for batch in _batches(missing, _BATCH):
            _create(client, dataset, batch)
        seen = _present(client, dataset, ids) if missing else known
        total = client.read_dataset(dataset_id=dataset.id).example_count or 0
    return Pushed(
        name, str(dataset.id), found is None, len(missing), len(rows) - len(missing), len(seen), total
    )


def _create(client: Client, dataset: Dataset, rows: Sequence[Row]) -> None:
    try:
        client.create_examples(dataset_id=dataset.id, examples=[asdict(row) for row in rows])
    except sdk.LangSmithConflictError:
        raise ServiceError(
            f"some ids of this file are taken, by another dataset than {dataset.name!r} or by another push; "
            "if one is running, push again"
        ) from None


def _present(client: Client, dataset: Dataset, ids: list[str]) -> set[str]:
    """Return which of these examples the dataset has."""
    present: set[str] = set()
    for batch in _batches(ids, _ASK):
        present.update(
            str(one.id) for one in client.list_examples(dataset_id=dataset.id, example_ids=list(batch))
        )
    return present


def _batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def list_datasets(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return every dataset: name, id, examples, splits, when last modified.

    Raises:
        ServiceError: the service cannot be asked.
    """
    client = make_client(endpoint)
    check(client)
    with told(client), ThreadPoolExecutor(8, thread_name_prefix="splits") as pool:
        datasets = list(client.list_datasets())
        # A question per dataset: together, they take what the slowest takes.
        splits = pool.map(lambda one: _splits(client, one), datasets)
        return [
            {
                "name": one.name,
                "id": str(one.id),
                "examples": one.example_count or 0,
                "splits": names,
                "modified": (one.modified_at or one.created_at).isoformat(timespec="seconds"),
            }
            for one, names in zip(datasets, splits, strict=True)
        ]


def _splits(client: Client, dataset: Dataset) -> list[str]:
    """Return the names of a dataset's splits; none for one that was deleted in between."""
    try:
        return sorted(client.list_dataset_splits(dataset_id=dataset.id))
    except sdk.LangSmithNotFoundError:
        return []
