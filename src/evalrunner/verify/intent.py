"""What an experiment says that it is about: written by a run of ours, or left behind by something else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evalrunner.verify.meant import Told, made_for, moment, positive, repetitions

#: Key of our facts in the experiment's metadata.
FACTS = "evalrunner"
#: Key in our facts: what the first run of ours found in an experiment that something else had filled.
FOUND = "found"


@dataclass(frozen=True)
class Intent:
    """What an experiment is about, unless whoever asks says otherwise.

    Attributes:
        told: what it says of its examples, where no run of ours has planned it.
        splits, limit: of the dataset; none and None are all of it.
        as_of: the pinned version, or None for the newest.
    """

    repetitions: int
    told: Told | None
    splits: tuple[str, ...]
    limit: int | None
    as_of: str | None


def intent(session: Mapping[str, Any], metadata: Mapping[str, Any], start: datetime) -> Intent:
    """Read what an experiment says of itself.

    Args:
        session: as `GET /sessions/{id}` answers.
        metadata: its metadata.
        start: when it began.
    """
    told_facts = metadata.get(FACTS)
    facts = told_facts if isinstance(told_facts, dict) else {}
    times = repetitions(session, metadata)
    told = _told(metadata, facts, made_for(session, times), start)
    return Intent(
        times,
        told,
        texts(facts.get("splits")) if told is None else (),
        positive(facts.get("limit")),
        # Only a version that we wrote covers the whole dataset: each shard of a plain aevaluate writes its own.
        version_of(metadata) if told is None else None,
    )


def _told(
    metadata: Mapping[str, Any], facts: Mapping[str, Any], examples: int | None, start: datetime
) -> Told | None:
    """Return what an experiment says that something else has filled; what our first run in it found, it settled."""
    if not facts:
        return Told(examples, texts(metadata.get("dataset_splits")), start.isoformat())
    settled = facts.get(FOUND)
    if not isinstance(settled, dict):
        return None
    return Told(examples, texts(settled.get("splits")), str(settled.get("until") or ""), fixed=True)


def version_of(metadata: Mapping[str, Any]) -> str | None:
    """Return the version of the dataset that an experiment's metadata name, or None for whatever is no time."""
    told = metadata.get("dataset_version")
    return told if isinstance(told, str) and moment(told) else None


def texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a list, or none for whatever else stands in metadata."""
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
