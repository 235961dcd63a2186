"""The plan: which items of the experiment have no complete run yet, according to the experiment itself.

The ledger knows what we did; the experiment knows what is there. Where they differ the experiment is right:
a run that was deleted there is evaluated again, and one that another tool made is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.ids import KNOWN_ATTEMPTS, may_be_ours, root_run_id
from evalrunner.protocol.lease import IN_SPOOL, ItemState
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.supervisor.setup.scores import Lacking, find_lacking
from evalrunner.verify.facts import Need
from evalrunner.verify.lacking import Scoring
from evalrunner.verify.readback import ReadBack, RootRun
from evalrunner.verify.reconcile import Assignment, Key, Trial, assign

S = ItemState
#: Why an item whose run ended in an error is run again.
RETRIED = "its run ended in an error"
Attempts = dict[Key, tuple[int, str | None]]
"""(example id, repetition) -> (highest attempt, root run that counts), as the ledger has it."""


@dataclass
class Plan:
    """What is there, and what is to be done.

    Attributes:
        complete: (example id, repetition) with a complete run that counts.
        missing: (example id, repetition) that will be executed.
        unsent: (example id, repetition) whose run is there and whose trace is not whole, because a part of it
            was refused for good: it stays in the spool, and to execute it again would only add a second run.
        unreadable: (example id, repetition) whose run is there and at whose scores the service fails, with what it
            does: whether it lacks any cannot be known.
        score: (example id, repetition) whose run is there and lacks scores: it is scored, and not executed.
        stale: for complete ones: records of errors that a later score has made untrue.
        told: for complete ones: what the run says of its evaluators, where this folder did not know it.
        why: for missing ones that have a run nevertheless: why it does not count.
        used: for missing ones: the highest attempt whose root run is in the experiment, 0 if none is. An id
            is used once: the service ignores a second run that bears it.
    """

    complete: dict[Key, RootRun] = field(default_factory=dict)
    missing: list[Key] = field(default_factory=list)
    unsent: list[Key] = field(default_factory=list)
    unreadable: dict[Key, tuple[RootRun, str]] = field(default_factory=dict)
    score: dict[Key, tuple[RootRun, Scoring]] = field(default_factory=dict)
    stale: dict[Key, Scoring] = field(default_factory=dict)
    told: dict[Key, list[Evaluated]] = field(default_factory=dict)
    why: dict[Key, str] = field(default_factory=dict)
    used: dict[Key, int] = field(default_factory=dict)


def needs(plan: Plan) -> dict[Need, int]:
    """Count the items by what they need."""
    again = sum(plan.why.get(key) == RETRIED for key in plan.missing)
    first = sum(key not in plan.why for key in plan.missing)
    failed = sum(run.error is not None for run in plan.complete.values())
    return {
        Need.RUN: first,
        Need.RUN_AGAIN: again,
        Need.WHOLE_TRACE: len(plan.missing) - first - again,
        Need.SCORES: len(plan.score),
        Need.REFUSED: len(plan.unsent),
        Need.UNREADABLE: len(plan.unreadable),
        Need.FAILED: failed,
        Need.NOTHING: len(plan.complete) - failed,
    }


def trials(scope: Scope, attempts: Attempts, example: str) -> Iterator[Trial]:
    """Work out the id of every attempt at an example that this folder, or the experiment's own, may have made.

    First attempts first: nearly every run is one, so that whoever looks for known ids stops soon.
    """
    salts = sorted({"", scope.salt})
    known = [attempts.get((example, repetition), (0, None))[0] for repetition in range(scope.repetitions)]
    for attempt in range(1, max([KNOWN_ATTEMPTS, *known]) + 1):
        for place, salt in enumerate(salts):
            for repetition in range(scope.repetitions):
                yield repetition, (place, attempt), _run_id(scope, example, repetition, attempt, salt)


def _run_id(scope: Scope, example: str, repetition: int, attempt: int, salt: str) -> str:
    return str(root_run_id(scope.experiment_id, UUID(example), repetition, attempt, scope.epoch, salt))


def read_assignment(
    scope: Scope, examples: dict[str, None], roots: Iterable[RootRun], attempts: Attempts
) -> Assignment:
    """Assign the experiment's root runs to the plan."""
    return assign(
        examples,
        scope.repetitions,
        roots,
        lambda example: trials(scope, attempts, example),
        {key: run_id for key, (_, run_id) in attempts.items() if run_id},
        lambda run_id: may_be_ours(run_id, scope.epoch),
    )


def make_plan(
    scope: Scope,
    examples: dict[str, None],
    roots: Sequence[RootRun],
    ledger: Ledger,
    readback: ReadBack,
    *,
    retry_errors: bool,
    evaluators: Iterable[str] = (),
) -> Plan:
    """Work out what is missing.

    Args:
        roots: every root run of the experiment.
        evaluators: names of those that every run is to be scored by.
    """
    plan = Plan()
    attempts = ledger.attempts()
    found = read_assignment(scope, examples, roots, attempts)
    judged = find_lacking(scope, found.runs.values(), ledger, readback, evaluators)
    torn = _torn(found, ledger, readback)
    for repetition in range(scope.repetitions):
        for example in examples:
            key = (example, repetition)
            run = found.runs.get(key)
            if run is None:
                plan.missing.append(key)
            else:
                _place(plan, key, run, judged, torn.get(run.id), retry_errors=retry_errors)
    plan.used = _used(scope, attempts, roots, plan.missing)
    return plan


def _place(
    plan: Plan, key: Key, run: RootRun, judged: Lacking, torn: ItemState | None, *, retry_errors: bool
) -> None:
    """Say what is to be done about an item that has a run; `torn`: its state, if its trace is not whole."""
    lacking = judged.scoring.get(run.id)
    if run.error is not None and retry_errors:
        plan.missing.append(key)
        plan.why[key] = RETRIED
    elif torn is S.NOT_DELIVERED:
        plan.unsent.append(key)
    elif torn is not None:
        plan.missing.append(key)
        plan.why[key] = "parts of its trace were accepted and do not come back"
    elif run.id in judged.unreadable:
        plan.unreadable[key] = (run, f"its scores cannot be read back: {judged.unreadable[run.id]}")
    elif lacking is not None and lacking.evaluators:
        plan.score[key] = (run, lacking)
    else:
        plan.complete[key] = run
        if lacking is not None:
            plan.stale[key] = lacking
        if run.id in judged.told:
            plan.told[key] = judged.told[run.id]


def _used(scope: Scope, attempts: Attempts, roots: Sequence[RootRun], missing: list[Key]) -> dict[Key, int]:
    """Return the highest attempt of each item whose root run is in the experiment, where there is one.

    A root run that has lost its link to the example (a killed worker's, with --live) may be anybody's.
    """
    present: dict[str | None, set[str]] = {}
    for root in roots:
        if may_be_ours(root.id, scope.epoch):
            present.setdefault(root.example_id, set()).add(root.id)
    unlinked = present.pop(None, set())
    used: dict[Key, int] = {}
    for example, repetition in missing:
        ids = present.get(example, set()) | unlinked
        known = max(attempts.get((example, repetition), (0, None))[0], KNOWN_ATTEMPTS) if ids else 0
        for attempt in range(known, 0, -1):
            if _run_id(scope, example, repetition, attempt, scope.salt) in ids:
                used[(example, repetition)] = attempt
                break
    return used


def _torn(found: Assignment, ledger: Ledger, readback: ReadBack) -> dict[str, ItemState]:
    """Return the root runs of ours that are there while other runs of their traces are not."""
    counted = {key: run.id for key, run in found.runs.items()}
    rows = [
        row
        for row in ledger.items()
        if row.state in IN_SPOOL
        and row.run_id
        and counted.get((row.example_id, row.repetition)) == row.run_id
    ]
    seen = readback.seen([run for row in rows for run in row.runs])
    return {row.run_id: row.state for row in rows if row.run_id and not seen.issuperset(row.runs)}
