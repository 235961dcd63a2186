"""Which experiment a run is about, and which part of which dataset: found before anything is made or executed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from uuid import UUID, uuid4

from langsmith import Client
from langsmith.schemas import TracerSession

from evalrunner.config import RunConfig
from evalrunner.errors import UsageError
from evalrunner.service import client as service
from evalrunner.verify.meant import Told, made_for, positive, repetitions

#: Key of our facts in the experiment's metadata.
FACTS = "evalrunner"
#: Key in our facts: what the first run of ours found in an experiment that something else had filled.
FOUND = "found"


@dataclass(frozen=True)
class Scope:
    """Which experiment, and which part of which dataset.

    Attributes:
        session: the experiment, or None while it is still to be made.
        experiment_id, name: of the experiment, made or to be made.
        epoch: the experiment's start; part of every run id, so it must read back unchanged.
        as_of: the pinned version, or None for the newest.
        salt: of this folder's run ids; see protocol.ids.
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


def find_scope(client: Client, config: RunConfig) -> Scope:
    """Find out what the run is about.

    Raises:
        ServiceError: experiment or dataset are not known, or the experiment has no dataset.
    """
    if config.experiment is not None:
        return _existing(client, config, config.experiment)
    if config.dataset is None:
        raise UsageError("give --experiment (an existing one) or --dataset (for a new one)")
    dataset = service.find_dataset(client, config.dataset)
    prefix = config.prefix or dataset.name
    return Scope(
        session=None,
        experiment_id=uuid4(),
        name=f"{prefix}-{secrets.token_hex(4)}",
        epoch=datetime.now(timezone.utc).replace(microsecond=0),
        dataset_id=dataset.id,
        dataset_name=dataset.name,
        repetitions=config.repetitions or 1,
        splits=config.splits,
        limit=config.limit,
        as_of=config.as_of,
        metadata=dict(config.metadata),
    )


def _existing(client: Client, config: RunConfig, named: str) -> Scope:
    session = service.find_experiment(client, named)
    dataset = service.find_dataset(client, str(session.reference_dataset_id))
    metadata = dict(session.metadata or {})
    facts = metadata.get(FACTS) if isinstance(metadata.get(FACTS), dict) else {}
    assert isinstance(facts, dict)
    said = service.session_facts(client, session.id)
    times = config.repetitions or repetitions(said, metadata)
    start = (
        session.start_time if session.start_time.tzinfo else session.start_time.replace(tzinfo=timezone.utc)
    )
    told = _told(metadata, facts, made_for(said, repetitions(said, metadata)), start)
    return Scope(
        session=session,
        experiment_id=session.id,
        name=str(session.name),
        epoch=start,
        dataset_id=dataset.id,
        dataset_name=dataset.name,
        repetitions=times,
        splits=config.splits or (tuple(facts.get("splits") or ()) if told is None else ()),
        limit=config.limit or positive(facts.get("limit")),
        # Only a version that we wrote covers the whole dataset: each shard of a plain aevaluate writes its own.
        as_of=config.as_of or (metadata.get("dataset_version") if told is None else None),
        metadata={**metadata, **config.metadata},
        told=told,
    )


def _told(
    metadata: dict[str, Any], facts: dict[str, Any], examples: int | None, start: datetime
) -> Told | None:
    """Return what an experiment says that something else has filled; what our first run in it found, it settled."""
    if not facts:
        return Told(examples, _texts(metadata.get("dataset_splits")), start.isoformat())
    settled = facts.get(FOUND)
    if not isinstance(settled, dict):
        return None
    return Told(examples, _texts(settled.get("splits")), str(settled.get("until") or ""), fixed=True)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
