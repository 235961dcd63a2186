"""What an experiment was meant to hold: which examples, in which version, how often."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.wire.values import time_text


@dataclass(frozen=True, slots=True)
class Scope:
    """The plan of an experiment, as its session and metadata tell it.

    Attributes:
        named: `keys` are those that evaluators gave, as a run of ours has seen, and not what was expected of them.
        pinned: a run of ours has planned it, over `version`: what has left the dataset since is evaluated as well.
        until: when the examples and splits were those that were meant, where a run of ours has completed what
            something else had filled; `version` may be later.
    """

    id: str
    name: str
    description: str | None
    start_time: str
    dataset_id: str | None
    version: str | None
    splits: tuple[str, ...]
    limit: int | None
    repetitions: int
    told: int | None
    keys: tuple[str, ...]
    metadata: dict[str, Any]
    named: bool = False
    pinned: bool = False
    until: str | None = None


def read_scope(connection: sqlite3.Connection, session_id: str) -> Scope:
    """Return the scope of a session; 404 if there is no such session."""
    row = connection.execute(
        "SELECT id, name, description, start_time, reference_dataset_id, num_examples, num_repetitions, "
        "evaluator_keys, extra FROM sessions WHERE id = ?",
        (session_id,),
    ).fetchone()
    if row is None:
        raise HttpError(404, "there is no such experiment")
    extra = orjson.loads(row[8]) if row[8] else {}
    metadata = _object(extra.get("metadata"))
    facts = _object(metadata.get("evalrunner"))
    found = facts.get("found")
    return Scope(
        id=row[0],
        name=row[1],
        description=row[2],
        start_time=row[3],
        dataset_id=row[4],
        version=_version(metadata.get("dataset_version")),
        # Ours says which splits were asked for; the SDK only which ones its examples happened to be in.
        splits=_names(facts.get("splits", metadata.get("dataset_splits"))),
        limit=_number(facts.get("limit")),
        # Of processes that share an experiment, one that was asked for less makes it no smaller.
        repetitions=max(_number(row[6]) or 1, _number(metadata.get("num_repetitions")) or 1),
        told=_number(row[5]),
        # What a run of ours has seen at its end is better than what was expected when the experiment was made.
        keys=_names(facts.get("evaluator_keys"))
        if "evaluators" in facts
        else _names(orjson.loads(row[7]) if row[7] else None),
        metadata=metadata,
        named="evaluators" in facts,
        pinned=bool(facts) and not isinstance(found, dict),
        until=_version(_object(found).get("until")),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _version(value: Any) -> str | None:
    try:
        return None if value is None else time_text(value, "dataset_version")
    except HttpError:
        return None


def _names(value: Any) -> tuple[str, ...]:
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
