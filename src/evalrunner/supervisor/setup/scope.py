"""Which experiment a run is about, and which part of which dataset: found before anything is made or executed."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from uuid import UUID, uuid4

from langsmith import Client
from langsmith.schemas import Dataset, TracerSession

from evalrunner.config import RunConfig
from evalrunner.errors import UsageError
from evalrunner.service import client as service
from evalrunner.supervisor.setup.owner import CLAIM
from evalrunner.verify.intent import intent
from evalrunner.verify.meant import Told


@dataclass(frozen=True)
class Scope:
    """Which experiment, and which part of which dataset.

    Attributes:
        session: the experiment, or None while it is still to be made.
        experiment_id, name: of the experiment, made or to be made.
        epoch: the experiment's start; part of every run id, so it must read back unchanged.
        as_of: the pinned version, or None for the newest.
        salt: of this folder's run ids; see protocol.ids.
        own_repetitions: that the experiment itself says, where it is there.
        told: what the experiment says of its examples, where no run of ours has planned it.
    """

    session: TracerSession | None
    experiment_id: UUID
    name: str
    epoch: datetime
    dataset_id: UUID
    dataset_name: str
    repetitions: int
    splits: tuple[str, ...]
    limit: int | None
    as_of: str | None
    metadata: dict[str, Any] = field(default_factory=dict)
    salt: str = ""
    told: Told | None = None
    own_repetitions: int = 1


def find_scope(client: Client, config: RunConfig) -> Scope:
    """Find out what the run is about.

    Raises:
        ServiceError: experiment or dataset are not known, or the experiment has no dataset.
        UsageError: neither is named, or the experiment that is named is over another dataset.
    """
    if config.dataset is None:
        if config.experiment is None:
            raise UsageError("give --experiment (an existing one) or --dataset (for a new one)")
        return _existing(client, config, service.find_experiment(client, config.experiment))
    dataset = service.find_dataset(client, config.dataset)
    if config.experiment is not None:
        session = service.look_for_project(client, config.experiment)
        if session is not None:
            _check_dataset(client, session, dataset)
            return _existing(client, config, session)
        _check_name(config.experiment)
    return _new(config, dataset)


def _check_dataset(client: Client, session: TracerSession, dataset: Dataset) -> None:
    if session.reference_dataset_id is None:
        raise UsageError(f"{session.name!r} is a tracing project: give the experiment another name")
    if session.reference_dataset_id != dataset.id:
        its = service.find_dataset(client, str(session.reference_dataset_id))
        raise UsageError(
            f"the experiment {session.name!r} is over the dataset {its.name!r}, and --dataset names "
            f"{dataset.name!r}: leave one of them out"
        )


def _check_name(name: str) -> None:
    with contextlib.suppress(ValueError):
        UUID(name)
        raise UsageError(f"there is no experiment {name}; one that is to be made needs a name, not an id")


def _new(config: RunConfig, dataset: Dataset) -> Scope:
    prefix = config.prefix or dataset.name
    return Scope(
        session=None,
        experiment_id=uuid4(),
        name=config.experiment or f"{prefix}-{secrets.token_hex(4)}",
        epoch=datetime.now(timezone.utc).replace(microsecond=0),
        dataset_id=dataset.id,
        dataset_name=dataset.name,
        repetitions=config.repetitions or 1,
        splits=config.splits,
        limit=config.limit,
        as_of=config.as_of,
        metadata=dict(config.metadata),
    )


def _existing(client: Client, config: RunConfig, session: TracerSession) -> Scope:
    dataset = service.find_dataset(client, str(session.reference_dataset_id))
    metadata = dict(session.metadata or {})
    start = service.began(session)
    said = intent(service.session_facts(client, session.id), metadata, start)
    return Scope(
        session=session,
        experiment_id=session.id,
        name=str(session.name),
        epoch=start,
        dataset_id=dataset.id,
        dataset_name=dataset.name,
        repetitions=config.repetitions or said.repetitions,
        own_repetitions=said.repetitions,
        splits=config.splits or said.splits,
        limit=config.limit or said.limit,
        as_of=config.as_of or said.as_of,
        metadata={**{key: value for key, value in metadata.items() if key != CLAIM}, **config.metadata},
        told=said.told,
    )
