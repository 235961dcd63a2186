"""Bringing the ledger into line with a plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from evalrunner.ledger.columns import evaluated_json
from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.rows import ItemRow
from evalrunner.supervisor.setup.plan import Plan
from evalrunner.verify.lacking import Scoring
from evalrunner.verify.readback import RootRun

S = ItemState


def write_plan(ledger: Ledger, plan: Plan, at: float) -> None:
    """Bring the ledger into line with the plan: what is missing is AVAILABLE, what can be read is VISIBLE."""
    with ledger.transaction():
        ledger.add_items([*plan.complete, *plan.missing, *plan.score, *plan.unreadable])
        missing = set(plan.missing)
        told: list[tuple[float, int | None, int | None, int | None, str]] = []
        moves: list[tuple[int, ItemState, dict[str, Any]]] = []
        for row in ledger.items():
            key = (row.example_id, row.repetition)
            used = max(row.attempt, plan.used.get(key, 0))
            if key in plan.score:
                moves.append((row.item, S.AVAILABLE, _to_score(row, *plan.score[key])))
                told.append((at, row.item, None, row.token, f"was {row.state.name}; to be scored"))
            elif key in missing and (row.state is not S.AVAILABLE or row.attempt < used or row.scoring):
                fields = {"deaths": 0, "reason": plan.why.get(key), "error": None, "attempt": used}
                fields["scoring"] = None
                moves.append((row.item, S.AVAILABLE, fields))
                told.append((at, row.item, None, row.token, f"was {row.state.name}; to be executed (again)"))
            elif key in plan.unreadable:
                run, why = plan.unreadable[key]
                moves.append(
                    (row.item, S.NOT_VISIBLE, {**_taken_by(row, run), "reason": why, "scoring": None})
                )
            elif key in plan.complete and not _stands(
                row, plan.complete[key], said := plan.told.get(key, [])
            ):
                run = plan.complete[key]
                fields = {**_taken_by(row, run), "reason": None, "scoring": None}
                if said:
                    fields["evaluated"] = evaluated_json(said)
                moves.append((row.item, S.VISIBLE, fields))
                told.append((at, row.item, None, row.token, f"found complete: run {run.id}"))
        for item, state, fields in moves:
            ledger.move(item, state, **fields)
        ledger.tell(told)


def _stands(row: ItemRow, run: RootRun, told: Iterable[Evaluated]) -> bool:
    known = {each.name for each in row.evaluated}
    same = row.state is S.VISIBLE and row.run_id == run.id and row.scoring is None
    return same and known.issuperset(each.name for each in told)


def _taken_by(row: ItemRow, run: RootRun) -> dict[str, Any]:
    fields: dict[str, Any] = {"run_id": run.id, "error": _short(run.error)}
    if row.run_id != run.id:
        # Another run has taken its place: what the ledger knows of the old one is not true of it.
        fields |= dict.fromkeys(("runs", "others", "feedback", "warnings", "evaluated"))
    return fields


def _to_score(row: ItemRow, run: RootRun, todo: Scoring) -> dict[str, Any]:
    scoring = orjson.dumps(todo.to_json()).decode()
    return {**_taken_by(row, run), "deaths": 0, "reason": todo.why, "scoring": scoring}


def _short(error: str | None) -> str | None:
    if not error:
        return None
    return next((line.strip() for line in error.splitlines() if line.strip()), error)[:500]
