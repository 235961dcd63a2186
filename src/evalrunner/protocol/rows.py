"""Rows of the ledger as plain data: who accounts for a run reads these, and no open ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.loose import About, LooseState


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item as the ledger has it, with its example's id."""

    item: int
    example_id: str
    repetition: int
    state: ItemState
    attempt: int
    token: int
    deaths: int
    session: int
    worker: int | None
    run_id: str | None
    runs: list[str]
    feedback: list[str]
    error: str | None
    reason: str | None
    warnings: list[str]
    evaluated: list[Evaluated]
    scoring: dict[str, Any] | None


@dataclass(frozen=True)
class WorkerRow:
    """One worker that was started."""

    worker: int
    session: int
    slot: int
    pid: int
    create_time: float
    spool: str
    ended: str | None


@dataclass(frozen=True)
class LooseRow:
    """One record of what belongs to no item, whole."""

    spool: str
    seq: int
    session: int
    state: LooseState
    reason: str
    about: list[About]
