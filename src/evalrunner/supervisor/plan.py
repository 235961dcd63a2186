"""The plan: which items of the experiment have no complete run yet, according to the experiment itself.

The ledger knows what we did; the experiment knows what is there. Where they differ the experiment is right:
a run that was deleted there is evaluated again, and one that another tool made is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.ids import KNOWN_ATTEMPTS, root_run_id
from evalrunner.protocol.lease import ItemState
from evalrunner.supervisor.experiment import Scope
from evalrunner.verify.readback import ReadBack, RootRun
from evalrunner.verify.reconcile import Assignment, Key, assign, required_keys

S = ItemState
Attempts = dict[Key, tuple[int, str | None]]
"""(example id, repetition) -> (highest attempt, root run that counts), as the ledger has it."""


@dataclass
class Plan:
    """What is there, and what is to be done.

    Attributes:
        complete: (example id, repetition) with a complete run that counts.
        missing: (example id, repetition) that will be executed.
        why: for missing ones that have a run nevertheless: why it does not count.
    """

    complete: dict[Key, RootRun] = field(default_factory=dict)
    missing: list[Key] = field(default_factory=list)
    why: dict[Key, str] = field(default_factory=dict)


def our_ids(scope: Scope, attempts: Attempts, example: str, repetition: int) -> Sequence[str]:
    """Return the ids of every attempt of an item that we may have made."""
    known = max(attempts.get((example, repetition), (0, None))[0], KNOWN_ATTEMPTS)
    example_id = UUID(example)
    return [
        str(root_run_id(scope.experiment_id, example_id, repetition, attempt, scope.epoch))
        for attempt in range(1, known + 1)
    ]


def read_assignment(
    scope: Scope, examples: dict[str, None], readback: ReadBack, attempts: Attempts
) -> Assignment:
    """Read the experiment's root runs and assign them to the plan."""
    if scope.session is None:
        return Assignment()
    return assign(
        examples,
        scope.repetitions,
        readback.roots(),
        lambda example, repetition: our_ids(scope, attempts, example, repetition),
        {key: run_id for key, (_, run_id) in attempts.items() if run_id},
    )


def make_plan(
    scope: Scope, examples: dict[str, None], ledger: Ledger, readback: ReadBack, *, retry_errors: bool
) -> Plan:
    """Work out what is missing."""
    plan = Plan()
    found = read_assignment(scope, examples, readback, ledger.attempts())
    without = _without_feedback(found, ledger, readback)
    for repetition in range(scope.repetitions):
        for example in examples:
            key = (example, repetition)
            run = found.runs.get(key)
            if run is None:
                plan.missing.append(key)
            elif run.error is not None and retry_errors:
                plan.missing.append(key)
                plan.why[key] = "its run ended in an error"
            elif run.id in without:
                plan.missing.append(key)
                plan.why[key] = without[run.id]
            else:
                plan.complete[key] = run
    return plan


def _without_feedback(found: Assignment, ledger: Ledger, readback: ReadBack) -> dict[str, str]:
    """Return the runs that lack scores: of ours by the scores' ids, of others by the keys that most have."""
    ours = {item.run_id: item.feedback for item in ledger.items() if item.run_id}
    ids: dict[str, set[str]] = {run.id: set() for run in found.runs.values()}
    keys: dict[str, set[str]] = {run.id: set() for run in found.runs.values()}
    for score in readback.scores(list(ids)):
        if score.run_id in ids:
            ids[score.run_id].add(score.id)
            keys[score.run_id].add(score.key)
    required = required_keys(keys)
    missing: dict[str, str] = {}
    for run_id, there in ids.items():
        if run_id in ours:
            lost = set(ours[run_id]) - there
            if lost:
                missing[run_id] = f"{len(lost)} of its {len(ours[run_id])} scores are gone"
        elif required - keys[run_id]:
            missing[run_id] = f"no feedback {', '.join(sorted(required - keys[run_id]))}"
    return missing


def write_plan(ledger: Ledger, plan: Plan, at: float) -> None:
    """Bring the ledger into line with the plan: what is missing is AVAILABLE, the rest is VISIBLE."""
    with ledger.transaction():
        ledger.add_items([*plan.complete, *plan.missing])
        missing = set(plan.missing)
        told: list[tuple[float, int | None, int | None, int | None, str]] = []
        moves: list[tuple[int, ItemState, str | None, str | None]] = []
        for row in ledger.items():
            key = (row.example_id, row.repetition)
            if key in missing and row.state is not S.AVAILABLE:
                moves.append((row.item, S.AVAILABLE, None, plan.why.get(key)))
                told.append((at, row.item, None, row.token, f"was {row.state.name}; to be executed (again)"))
            elif key in plan.complete and (row.state is not S.VISIBLE or row.run_id != plan.complete[key].id):
                run = plan.complete[key]
                moves.append((row.item, S.VISIBLE, run.id, run.error))
                told.append((at, row.item, None, row.token, f"found complete: run {run.id}"))
        for item, state, run_id, text in moves:
            if state is S.AVAILABLE:
                ledger.move(item, state, deaths=0, reason=text, error=None)
            else:
                ledger.move(item, state, run_id=run_id, error=_short(text), reason=None)
        ledger.tell(told)


def _short(error: str | None) -> str | None:
    if not error:
        return None
    return next((line.strip() for line in error.splitlines() if line.strip()), error)[:500]
