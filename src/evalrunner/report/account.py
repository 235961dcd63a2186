"""From what is known of a run, rows and read-back, to the receipt. No counter that ran along is asked."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from evalrunner import __version__
from evalrunner.protocol.lease import IN_SPOOL, ItemState
from evalrunner.protocol.rows import ItemRow
from evalrunner.report.evaluators import Judged, Scoreboard
from evalrunner.report.loose import loose_books
from evalrunner.report.planned import planned
from evalrunner.report.receipt import Books, EvaluatorErrors, FindingEntry, ItemEntry, Receipt, WorkerEntry
from evalrunner.report.verdict import judge
from evalrunner.verify import findings
from evalrunner.verify.codes import Finding
from evalrunner.verify.facts import RunFacts, Scores
from evalrunner.verify.reconcile import Assignment, Key

S = ItemState
_ACCEPTED = frozenset({S.ACCEPTED, S.VISIBLE, S.NOT_VISIBLE})
_UNREAD = ("not visible", "accepted, and not read back before the run was stopped")
_UNSENT = ("not delivered", "not sent before the run was stopped")
_OPEN = {S.ACCEPTED: _UNREAD, S.NOT_VISIBLE: _UNREAD, S.PRODUCED: _UNSENT, S.NOT_DELIVERED: _UNSENT}


def account(facts: RunFacts) -> Receipt:
    """Compute the receipt of a run that has ended."""
    items = [_entry(facts, row) for row in facts.rows]
    states = Counter(item.state for item in items)
    board = _scoreboard(facts, items) if facts.scores is not None else None
    known = facts.scores is not None and facts.scores.known
    errors = _evaluator_errors(facts, board)
    found_out = _findings(facts, board)
    loose = loose_books(facts.loose, facts.session)
    verdict = judge(items, errors, facts.ending, loose=loose)
    found = facts.found or Assignment()
    return Receipt(
        experiment=facts.experiment,
        dataset=facts.dataset,
        plan=_plan(facts, len(items)),
        books=_books(facts.rows, items),
        states=dict(states),
        evaluators=board.entries() if board is not None and known else [],
        summary={key: _value(score) for key, score in facts.summary.scores.items()},
        items=items,
        strangers=[f"{run_id}: {why}" for run_id, why in found.strangers.items()],
        duplicates=_duplicates(found),
        workers=[WorkerEntry(w.slot, w.pid, w.ended or "?", made) for w, made in facts.workers],
        restarts=facts.restarts,
        executions=facts.executions,
        warnings=[one.text for one in found_out],
        seconds={name: round(value, 3) for name, value in facts.seconds.items()},
        versions={
            "evalrunner": __version__,
            "langsmith": version("langsmith"),
            "python": platform.python_version(),
        },
        complete=verdict.complete,
        exit_code=verdict.exit_code,
        verdict=verdict.sentence,
        command=verdict.command,
        run_dir=facts.run_dir,
        evaluator_errors=errors,
        loose=loose,
        scored=facts.scorings,
        findings=[FindingEntry(one.code.value, one.text) for one in found_out],
        other_feedback=dict(board.other) if board is not None else {},
    )


def _plan(facts: RunFacts, items: int) -> dict[str, Any]:
    plan = facts.plan
    return {
        "examples": plan.examples,
        "repetitions": plan.repetitions,
        "items": items,
        "already_complete": len(plan.before),
        "to_run": plan.to_run,
        "to_score": plan.to_score,
        **(planned(facts.ending.config, plan) if facts.ending.plan_only else {}),
    }


def _entry(facts: RunFacts, row: ItemRow) -> ItemEntry:
    key = (row.example_id, row.repetition)
    state, reason = _state(row, facts.plan.before, plan_only=facts.ending.plan_only)
    if facts.found is not None and row.state is S.VISIBLE and key not in facts.found.runs:
        # It came back once and is gone at the last look: the last look counts.
        state, reason = "not visible", facts.ending.gone or "it was visible, and is no longer"
    # The error run of an item that was given up bears the next number, and is no further execution.
    given_up = row.worker == 0 and row.deaths > 0
    attempt = row.attempt - given_up
    return ItemEntry(row.example_id, row.repetition, attempt, row.run_id, state, row.error, reason)


def _state(row: ItemRow, before: frozenset[Key], *, plan_only: bool) -> tuple[str, str | None]:
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


def _books(rows: Sequence[ItemRow], items: list[ItemEntry]) -> Books:
    """Count the books; what the last look has not found any more is in the third one no longer."""
    vanished = sum(
        row.state is S.VISIBLE and item.state == "not visible" for row, item in zip(rows, items, strict=True)
    )
    return Books(
        produced=sum(1 for row in rows if row.state in IN_SPOOL or row.state is S.VISIBLE),
        accepted=sum(1 for row in rows if row.state in _ACCEPTED),
        visible=sum(1 for row in rows if row.state is S.VISIBLE) - vanished,
    )


def _scoreboard(facts: RunFacts, items: list[ItemEntry]) -> Scoreboard:
    """Sum up every key over every planned item."""
    scores = facts.scores or Scores()
    ours = {row.run_id: row.evaluated for row in facts.rows if row.run_id}
    judged = [Judged(one.run_id, _label(one), ours.get(one.run_id, ())) for one in items if one.run_id]
    names = dict.fromkeys(facts.ending.config.spec.evaluator_names, ())
    board = Scoreboard(judged, len(items), {**names, **facts.guessed})
    board.add((run_id, score) for run_id, given in scores.mine.items() for score in given)
    board.add((score.run_id or "", score) for score in scores.others)
    return board


def _findings(facts: RunFacts, board: Scoreboard | None) -> list[Finding]:
    asked = board is not None and facts.scores is not None and facts.scores.asked
    return [
        *facts.findings,
        *(findings.evaluator_silent(name) for name in (board.speechless() if board and asked else ())),
        *(findings.summary_not_visible(key) for key, s in facts.summary.scores.items() if not s["visible"]),
        *(
            one
            for row in facts.rows
            if row.session == facts.session
            for one in findings.item_odd(row.example_id, row.repetition, row.warnings)
        ),
    ]


def _label(item: ItemEntry) -> str:
    return item.example_id + (f" #{item.repetition}" if item.repetition else "")


def _evaluator_errors(facts: RunFacts, board: Scoreboard | None) -> list[EvaluatorErrors]:
    summary = facts.summary.errors.items()
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
