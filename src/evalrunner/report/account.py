"""From the ledger's rows and the read-back to the receipt. No counter that ran along is asked."""

from __future__ import annotations

import platform
from collections import Counter
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from evalrunner import __version__
from evalrunner.protocol.lease import IN_SPOOL, ItemState
from evalrunner.protocol.rows import ItemRow
from evalrunner.report.evaluators import Judged, Scoreboard
from evalrunner.report.loose import loose_books
from evalrunner.report.planned import planned
from evalrunner.report.receipt import Books, EvaluatorErrors, ItemEntry, Receipt, WorkerEntry
from evalrunner.report.verdict import judge
from evalrunner.service.errors import words
from evalrunner.supervisor.outcome import Outcome
from evalrunner.supervisor.setup.plan import read_assignment
from evalrunner.verify.apart import read_scores
from evalrunner.verify.reconcile import Assignment

S = ItemState
_ACCEPTED = frozenset({S.ACCEPTED, S.VISIBLE, S.NOT_VISIBLE})
_THERE = frozenset({"visible", "failed"})
_UNREAD = ("not visible", "accepted, and not read back before the run was stopped")
_UNSENT = ("not delivered", "not sent before the run was stopped")
_OPEN = {S.ACCEPTED: _UNREAD, S.NOT_VISIBLE: _UNREAD, S.PRODUCED: _UNSENT, S.NOT_DELIVERED: _UNSENT}


def account(outcome: Outcome, *, plan_only: bool) -> Receipt:
    """Compute the receipt of a run that has ended."""
    found = None if plan_only else _read(outcome)
    rows = outcome.planned()  # not before: each of the two needs a kilobyte an item while it is made
    before = set(outcome.plan.complete)
    items = [_entry(outcome, row, found, before, plan_only=plan_only) for row in rows]
    states = Counter(item.state for item in items)
    board, read = (None, False) if plan_only or outcome.gone else _scoreboard(outcome, items, rows)
    errors = _evaluator_errors(outcome, board)
    loose = loose_books(outcome.ledger, outcome.session)
    verdict = judge(items, errors, outcome, plan_only=plan_only, loose=loose)
    workers = outcome.ledger.workers(outcome.session)
    return Receipt(
        experiment=_experiment(outcome, plan_only=plan_only),
        dataset={
            "id": str(outcome.scope.dataset_id),
            "name": outcome.scope.dataset_name,
            "version": outcome.reading.version,
            "splits": sorted(outcome.reading.splits),
        },
        plan={
            "examples": len(outcome.reading.ids),
            "repetitions": outcome.scope.repetitions,
            "items": len(items),
            "already_complete": len(before),
            "to_run": len(outcome.plan.missing),
            "to_score": len(outcome.plan.score),
            **(planned(outcome) if plan_only else {}),
        },
        books=_books(rows, items),
        states=dict(states),
        evaluators=board.entries() if board is not None and read else [],
        summary={key: _value(score) for key, score in outcome.summary.scores.items()},
        items=items,
        strangers=[f"{run_id}: {why}" for run_id, why in found.strangers.items()] if found else [],
        duplicates=_duplicates(found) if found else [],
        workers=[
            WorkerEntry(w.slot, w.pid, w.ended or "?", outcome.ledger.items_made_by(w.worker))
            for w in workers
        ],
        restarts=outcome.restarts,
        executions=outcome.ledger.executions(outcome.session),
        warnings=[*outcome.warnings, *_summary_warnings(outcome), *_item_warnings(rows, outcome.session)],
        seconds={name: round(value, 3) for name, value in outcome.seconds.items()},
        versions={
            "evalrunner": __version__,
            "langsmith": version("langsmith"),
            "python": platform.python_version(),
        },
        complete=verdict.complete,
        exit_code=verdict.exit_code,
        verdict=verdict.sentence,
        command=verdict.command,
        run_dir="" if plan_only else str(outcome.folder.path),
        evaluator_errors=errors,
        loose=loose,
        scored=outcome.ledger.scorings(outcome.session),
        other_feedback=dict(board.other) if board is not None else {},
    )


def _experiment(outcome: Outcome, *, plan_only: bool) -> dict[str, Any]:
    scope = outcome.scope
    if plan_only and scope.session is None:
        # Neither its id nor the end of its name will be those that were drawn for this plan.
        return {"id": None, "name": f"{scope.name.rpartition('-')[0]}-... (a new one)", "url": None}
    return {"id": str(scope.experiment_id), "name": scope.name, "url": _url(outcome)}


def _read(outcome: Outcome) -> Assignment | None:
    """Look at the experiment once more, whole; None if it cannot be read."""
    if outcome.gone:
        return Assignment()  # there is nothing in it any more
    why = outcome.silence
    try:
        if not why:
            roots = outcome.readback.roots() if outcome.scope.session is not None else ()
            return read_assignment(outcome.scope, outcome.reading.ids, roots, outcome.ledger.attempts())
    except Exception as error:
        why = words(error)
    outcome.warnings.append(
        f"the experiment could not be read once more ({why}): what is visible here came "
        "back earlier in this run; duplicates, strangers and scores are not known"
    )
    return None


def _entry(
    outcome: Outcome, row: ItemRow, found: Assignment | None, before: set[tuple[str, int]], *, plan_only: bool
) -> ItemEntry:
    key = (row.example_id, row.repetition)
    state, reason = _state(row, before, plan_only=plan_only)
    if found is not None and row.state is S.VISIBLE and key not in found.runs:
        # It came back once and is gone at the last look: the last look counts.
        state, reason = "not visible", outcome.gone or "it was visible, and is no longer"
    # The error run of an item that was given up bears the next number, and is no further execution.
    given_up = row.worker == 0 and row.deaths > 0
    attempt = row.attempt - given_up
    return ItemEntry(row.example_id, row.repetition, attempt, row.run_id, state, row.error, reason)


def _state(row: ItemRow, before: set[tuple[str, int]], *, plan_only: bool) -> tuple[str, str | None]:
    if (row.example_id, row.repetition) in before:
        return ("failed" if row.error else "already complete"), row.reason
    if not plan_only and row.state is S.VISIBLE:
        return ("failed" if row.error else "visible"), row.reason
    if row.state is S.FAILED:
        return "not delivered", f"{row.reason}; its error run could not be written"
    if row.scoring is not None:
        why = row.scoring["why"] if plan_only else "the run was stopped before it was scored"
        return _OPEN.get(row.state, ("not scored", why))[0], row.reason or why
    state, reason = _OPEN.get(row.state, ("not run", None if plan_only else "the run was stopped"))
    return state, row.reason or reason


def _books(rows: list[ItemRow], items: list[ItemEntry]) -> Books:
    """Count the books; what the last look has not found any more is in the third one no longer."""
    vanished = sum(
        row.state is S.VISIBLE and item.state == "not visible" for row, item in zip(rows, items, strict=True)
    )
    return Books(
        produced=sum(1 for row in rows if row.state in IN_SPOOL or row.state is S.VISIBLE),
        accepted=sum(1 for row in rows if row.state in _ACCEPTED),
        visible=sum(1 for row in rows if row.state is S.VISIBLE) - vanished,
    )


def _scoreboard(outcome: Outcome, items: list[ItemEntry], rows: list[ItemRow]) -> tuple[Scoreboard, bool]:
    """Sum up every key over every planned item; False beside it if no score could be read."""
    ours = {row.run_id: row.evaluated for row in rows if row.run_id}
    judged = [Judged(one.run_id, _label(one), ours.get(one.run_id, ())) for one in items if one.run_id]
    guessed: dict[str, list[str]] = outcome.ledger.get_meta("evaluators") or {}
    names = dict.fromkeys(outcome.config.spec.evaluator_names, ())
    board = Scoreboard(judged, len(items), {**names, **guessed})
    # What came back during this run has been read: by id, and when all of it was there.
    read = {
        item.run_id or "": outcome.scores[row.item]
        for row, item in zip(rows, items, strict=True)
        if row.item in outcome.scores and item.state in _THERE and row.scoring is None
    }
    board.add((run_id, score) for run_id, scores in read.items() for score in scores)
    if outcome.silence:  # each question would hang for a minute; the last look has said that it knows none
        return board, False
    known = {run.id for run, _ in outcome.plan.unreadable.values()}  # as the item itself says
    left = [one.run_id for one in judged if one.run_id not in read and one.run_id not in known]
    try:
        scores, unreadable = read_scores(outcome.readback, left)
    except Exception as error:
        if not read:
            # Everything is delivered and was read back; only its summary must wait for the next look.
            outcome.warnings.append(f"the scores could not be read once more ({words(error)})")
            return board, False
        outcome.warnings.append(
            f"the scores of up to {len(left)} item(s) could not be read and count as missing ({words(error)})"
        )
        return board, True
    board.add((score.run_id or "", score) for score in scores)
    if unreadable:
        outcome.warnings.append(
            f"the scores of {len(unreadable)} item(s) could not be read and count as missing: "
            f"{next(iter(unreadable.values()))}"
        )
    outcome.warnings.extend(f"evaluator {name} gave no score on any item" for name in board.speechless())
    return board, True


def _label(item: ItemEntry) -> str:
    return item.example_id + (f" #{item.repetition}" if item.repetition else "")


def _evaluator_errors(outcome: Outcome, board: Scoreboard | None) -> list[EvaluatorErrors]:
    summary = outcome.summary.errors.items()
    return [
        *(board.errors() if board is not None else ()),
        *(EvaluatorErrors(name, error, [], summary=True) for name, error in summary),
    ]


def _duplicates(found: Assignment) -> list[ItemEntry]:
    entries = [
        ItemEntry(example, repetition, 0, run.id, "duplicate", None, "one complete run more than planned")
        for (example, repetition), run in found.duplicates
    ]
    return entries + [
        ItemEntry(example, repetition, 0, run.id, "superseded", None, "an earlier attempt")
        for (example, repetition), run in found.superseded
    ]


def _value(score: dict[str, Any]) -> Any:
    return score["score"] if score["score"] is not None else score["value"]


def _summary_warnings(outcome: Outcome) -> list[str]:
    scores = outcome.summary.scores
    return [f"the summary score {key} does not come back" for key, s in scores.items() if not s["visible"]]


def _item_warnings(rows: list[ItemRow], session: int) -> list[str]:
    return [
        f"{row.example_id} #{row.repetition}: {text}"
        for row in rows
        if row.session == session
        for text in row.warnings
    ]


def _url(outcome: Outcome) -> str | None:
    if outcome.scope.session is None:
        return None
    try:
        url = outcome.scope.session.url
    except Exception:
        return None  # the SDK builds it from a tenant id, which a local backend need not have
    # For a loopback endpoint the SDK drops the port: the link leads nowhere.
    return None if url is None or urlsplit(url).hostname in ("localhost", "127.0.0.1") else url
