"""The last look at the experiment, and all that is known of the run as plain data, for whoever accounts for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.rows import ItemRow
from evalrunner.service.errors import words
from evalrunner.supervisor.outcome import Outcome
from evalrunner.supervisor.setup.plan import needs, read_assignment
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.verify import findings
from evalrunner.verify.apart import read_scores
from evalrunner.verify.facts import Ending, Planned, RunFacts, Scores
from evalrunner.verify.readback import RootRun
from evalrunner.verify.reconcile import Assignment, Key

T = TypeVar("T")


def conclude(outcome: Outcome, *, plan_only: bool) -> RunFacts:
    """Look at the experiment once more, whole, and say what is known."""
    found = None if plan_only else _assignment(outcome)
    rows = outcome.planned()  # not before: each of the two needs a kilobyte an item while it is made
    scores = None if plan_only or outcome.gone else _scores(outcome, rows, found)
    ledger, session = outcome.ledger, outcome.session
    return RunFacts(
        ending=_ending(outcome, found, plan_only=plan_only),
        session=session,
        experiment=_experiment(outcome.scope, outcome.config.experiment, plan_only=plan_only),
        dataset=_dataset(outcome),
        plan=_planned(outcome),
        rows=rows,
        found=found,
        scores=scores,
        guessed=ledger.get_meta("evaluators") or {},
        loose=ledger.loose.rows(),
        workers=[(worker, ledger.items_made_by(worker.worker)) for worker in ledger.workers(session)],
        executions=ledger.executions(session),
        scorings=ledger.scorings(session),
        restarts=outcome.restarts,
        summary=outcome.summary,
        findings=outcome.findings,
        seconds=outcome.seconds,
        run_dir="" if plan_only else str(outcome.folder.path),
    )


def _ending(outcome: Outcome, found: Assignment | None, *, plan_only: bool) -> Ending:
    scope = outcome.scope
    return Ending(
        outcome.config,
        scope.name,
        scope.dataset_name,
        made=scope.session is not None,
        plan_only=plan_only,
        stopped=outcome.stopped,
        gone=outcome.gone,
        taken=outcome.taken,
        more=0 if found is None else sum(run.error is None for _, run in found.duplicates),
    )


def _planned(outcome: Outcome) -> Planned:
    plan, scope, meant = outcome.plan, outcome.scope, outcome.reading.meant
    return Planned(
        len(outcome.reading.ids),
        scope.repetitions,
        frozenset(plan.complete),
        len(plan.missing),
        len(plan.score),
        needs(plan),
        scope.splits or (meant.splits if meant is not None else ()),
        scope.limit,
        outcome.checked,
    )


def _experiment(scope: Scope, named: str | None, *, plan_only: bool) -> dict[str, Any]:
    if plan_only and scope.session is None:
        # Neither its id nor, unless it was named, the end of its name will be those that were drawn for this plan.
        name = named or f"{scope.name.rpartition('-')[0]}-..."
        return {"id": None, "name": f"{name} (a new one)", "url": None}
    return {"id": str(scope.experiment_id), "name": scope.name, "url": _url(scope)}


def _url(scope: Scope) -> str | None:
    if scope.session is None:
        return None
    try:
        url = scope.session.url
    except Exception:
        return None  # the SDK builds it from a tenant id, which a local backend need not have
    # For a loopback endpoint the SDK drops the port: the link leads nowhere.
    return None if url is None or urlsplit(url).hostname in ("localhost", "127.0.0.1") else url


def _dataset(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": str(outcome.scope.dataset_id),
        "name": outcome.scope.dataset_name,
        "version": outcome.reading.version,
        "splits": sorted(outcome.reading.splits),
    }


def _assignment(outcome: Outcome) -> Assignment | None:
    """Return what the experiment holds now; None if it cannot be read."""
    if outcome.gone:
        return Assignment()  # there is nothing in it any more
    why = outcome.silence
    try:
        if not why:
            roots = _in_time(outcome, outcome.readback.roots()) if outcome.scope.session is not None else ()
            found = read_assignment(outcome.scope, outcome.reading.ids, roots, outcome.ledger.attempts())
            found.duplicates = _too_many(outcome.scope, found)
            return found
    except Exception as error:
        why = words(error)
        if outcome.stopped:
            outcome.silence = why  # no further question: the time is short
    outcome.findings.append(findings.experiment_unread(why))
    return None


def _too_many(scope: Scope, found: Assignment) -> list[tuple[Key, RootRun]]:
    """Return the runs that are too many: not those of repetitions that this run alone did not ask for."""
    allowed: Counter[str] = Counter()
    left = []
    for (example, repetition), run in found.duplicates:
        allowed[example] += 1
        if allowed[example] > scope.own_repetitions - scope.repetitions:
            left.append(((example, repetition), run))
    return left


def _in_time(outcome: Outcome, roots: Iterable[T]) -> Iterator[T]:
    """Pass on what is read, for as long as a stopped run has time."""
    for root in roots:
        if outcome.left() <= 0:
            raise TimeoutError("the run was stopped, and there was no time left to read it whole")
        yield root


def _scores(outcome: Outcome, rows: list[ItemRow], found: Assignment | None) -> Scores:
    mine = {row.run_id or "": outcome.scores[row.item] for row in rows if _has_come(outcome, row, found)}
    # Each question would hang for a minute; the last look has said that it knows none.
    if outcome.silence or outcome.left() <= 0:
        return Scores(mine)
    known = {run.id for run, _ in outcome.plan.unreadable.values()}  # as the item itself says
    left = [row.run_id for row in rows if row.run_id and row.run_id not in mine and row.run_id not in known]
    try:
        others, unreadable = read_scores(outcome.readback, left)
    except Exception as error:
        outcome.findings.append(findings.scores_unread(words(error), len(left) if mine else None))
        # Everything is delivered and was read back; only its summary must wait for the next look.
        return Scores(mine, known=bool(mine))
    if unreadable:
        outcome.findings.append(findings.scores_unreadable(len(unreadable), next(iter(unreadable.values()))))
    return Scores(mine, others, known=True, asked=True)


def _has_come(outcome: Outcome, row: ItemRow, found: Assignment | None) -> bool:
    """Whether the scores of an item came back during this run, by id, and when all of it was there."""
    there = found is None or (row.example_id, row.repetition) in found.runs
    return row.item in outcome.scores and row.state is ItemState.VISIBLE and there and row.scoring is None
