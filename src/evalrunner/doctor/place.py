"""Where an experiment is: the service, the experiment as it stands there, and the dataset that it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from langsmith import Client
from langsmith.schemas import Dataset, TracerSession

from evalrunner.config import Endpoint
from evalrunner.errors import ServiceError
from evalrunner.service import client as service
from evalrunner.service.capabilities import only_newer_reads
from evalrunner.service.errors import told
from evalrunner.service.pages import query_runs
from evalrunner.service.paging import PAGE
from evalrunner.service.preflight import check


@dataclass(frozen=True)
class Place:
    """An experiment, and how to ask for it.

    Attributes:
        newer: ask the newer generation of reads.
        began: when the experiment was made.
        linked: the experiment names the dataset itself; else its runs do, through their examples.
        metadata: its own.
        facts: it, as `GET /sessions/{id}` answers.
    """

    client: Client
    newer: bool
    id: str
    name: str
    began: datetime
    dataset: Dataset
    linked: bool
    metadata: Mapping[str, Any]
    facts: Mapping[str, Any]

    def again(self) -> Place:
        """Return it as it is now; raises as `find`."""
        return _placed(self.client, service.find_project(self.client, self.id), newer=self.newer)


def find(endpoint: Endpoint, named: str) -> Place:
    """Return where an experiment is.

    Args:
        named: its id or name.

    Raises:
        ServiceError: it does not exist, no run of it names an example, or it cannot be read.
    """
    client = service.make_client(endpoint)
    newer = only_newer_reads(check(client).model_dump(mode="json"))
    return _placed(client, service.find_project(client, named), newer=newer)


def _placed(client: Client, session: TracerSession, *, newer: bool) -> Place:
    dataset = (
        service.find_dataset(client, str(session.reference_dataset_id))
        if session.reference_dataset_id
        else _through_runs(client, session, newer=newer)
    )
    return Place(
        client,
        newer,
        str(session.id),
        str(session.name),
        service.began(session),
        dataset,
        session.reference_dataset_id is not None,
        dict(session.metadata or {}),
        service.session_facts(client, session.id),
    )


def _through_runs(client: Client, session: TracerSession, *, newer: bool) -> Dataset:
    """Return the dataset that the runs of a project name, which names none itself."""
    with told(client):
        select = ("id", "reference_example_id")
        page = islice(query_runs(client, str(session.id), select, newer=newer, is_root=True), PAGE)
        example = next((row["reference_example_id"] for row in page if row.get("reference_example_id")), None)
    if example is None:
        raise ServiceError(
            f"{session.name!r} is a tracing project, no experiment: it has no reference dataset, and none of its "
            "latest runs names an example"
        )
    with told(client):
        found: Dataset = client.read_dataset(dataset_id=client.read_example(example).dataset_id)
    return found
