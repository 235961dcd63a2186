"""What the ledger's columns hold, as rows of the protocol and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.rows import ItemRow


def evaluated_json(evaluated: Iterable[Evaluated]) -> str:
    """Return what became of evaluators as the column `evaluated` has it."""
    return orjson.dumps([each.to_json() for each in evaluated]).decode()


def item_row(row: tuple[Any, ...]) -> ItemRow:
    """Return an item as a query of all its columns gives it."""
    item, example_id, repetition, state, attempt, token, deaths, session, worker, run_id, *rest = row
    runs, feedback, error, reason, warnings, evaluated, scoring = rest
    return ItemRow(
        item, example_id, repetition, ItemState(state), attempt, token, deaths, session, worker, run_id,
        orjson.loads(runs or b"[]"), orjson.loads(feedback or b"[]"), error, reason,
        orjson.loads(warnings or b"[]"), [Evaluated.from_json(each) for each in orjson.loads(evaluated or b"[]")],
        None if scoring is None else orjson.loads(scoring),
    )  # fmt: skip
