"""When everything is executed: the experiment's metadata, the summary evaluators, what can be let go."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from langsmith import Client
from langsmith.utils import LangSmithConnectionError
from requests import RequestException

from evalrunner.delivery.spool.files import stem_of
from evalrunner.delivery.spool.openings import item_of, opening_of
from evalrunner.delivery.spool.writer import read
from evalrunner.engines.base import Engine
from evalrunner.errors import ServiceError, SpoolError
from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.lease import IN_SPOOL, ItemState
from evalrunner.protocol.loose import LooseState
from evalrunner.protocol.rows import ItemRow
from evalrunner.service.answers import strange
from evalrunner.service.errors import cause, host, words
from evalrunner.service.preflight import check
from evalrunner.supervisor.core.events import DatasetGone, ExperimentGone, Renamed, TakenOver
from evalrunner.supervisor.outcome import Outcome
from evalrunner.supervisor.setup.experiment import Judges, Keys, write_facts
from evalrunner.supervisor.setup.scores import given_keys, remove, untrue
from evalrunner.supervisor.shell.context import RunContext
from evalrunner.supervisor.summarise import summarise
from evalrunner.verify import findings


def finish(
    context: RunContext, client: Client, engine: Engine, outcome: Outcome, stop_asked: Callable[[], int]
) -> None:
    """Write the metadata once, run the summary evaluators once, remove spools that are not needed.

    An outage here costs a warning and no result: the next run of the command does it again.
    """
    rows = outcome.planned()
    if not outcome.stopped and any(row.state is not ItemState.VISIBLE for row in rows):
        outcome.silence = silence(client)
    _look_once_more(context, outcome)
    if outcome.gone or outcome.taken:
        return
    _look_for_strays(context, client, outcome, rows)
    _describe(context, client, outcome)
    _remove_untrue(client, outcome, rows)
    _let_go(context)
    if not (context.config.spec.summary_evaluators or context.config.spec.pickled):
        return
    if outcome.stopped or any(row.state is not ItemState.VISIBLE for row in rows):
        if context.config.spec.summary_evaluators:
            outcome.findings.append(findings.summary_waits())
        return
    runs = {row.run_id: row.example_id for row in rows if row.run_id}
    try:
        outcome.summary = summarise(context, client, engine, outcome.readback, runs, stop_asked)
    except Exception as error:
        outcome.findings.append(findings.summary_failed(error))


def _look_once_more(context: RunContext, outcome: Outcome) -> None:
    """Learn what somebody has done to the experiment since the last look: the receipt speaks of it by name."""
    if not (context.course.gone or context.course.taken or outcome.silence or outcome.stopped):
        context.watch.look()
        while not context.events.empty():
            event = context.events.get_nowait()
            if isinstance(event, (Renamed, ExperimentGone, DatasetGone)):
                context.heed(event)
    if context.claim.lost and not context.course.taken:
        context.heed(TakenOver(context.claim.lost))
    outcome.scope, outcome.gone, outcome.taken = context.scope, context.course.gone, context.course.taken


def _look_for_strays(context: RunContext, client: Client, outcome: Outcome, rows: list[ItemRow]) -> None:
    """Say where runs may lie that went to a new project under the experiment's old name.

    Each carries the experiment's id too; whether a service heeds that before the name is its own affair.
    """
    old = context.course.old_name
    if not old or outcome.silence or all(row.state is not ItemState.NOT_VISIBLE for row in rows):
        return
    try:
        found = client.has_project(old)
    except Exception:
        return
    if found:
        outcome.findings.append(findings.stray_runs(old))


def silence(client: Client, seconds: float = math.inf) -> str:
    """Say why the service need not be asked anything more, or "": each question could hang for minutes.

    Args:
        seconds: that are left for it.
    """
    if seconds <= 0:
        return "the run was stopped, and there was no time left to ask"
    try:
        check(client, seconds)
    except ServiceError as error:
        return str(error).partition(";")[0]
    return ""


def _describe(context: RunContext, client: Client, outcome: Outcome) -> None:
    judges = _judges(context.ledger, outcome)
    why = outcome.silence
    try:
        if not why:
            with context.claim.alone():
                write_facts(client, outcome.scope, outcome.reading, judges)
    except (LangSmithConnectionError, RequestException) as error:
        said = strange(error) or f"does not answer: {cause(error)}"
        why = outcome.silence = f"LangSmith at {host(client.api_url)} {said}"
    except Exception as error:
        why = words(error)
    if why:
        outcome.findings.append(findings.metadata_unwritten(why))


def _judges(ledger: Ledger, outcome: Outcome) -> Judges:
    guessed: Keys = ledger.get_meta("evaluators") or {}
    begun = ledger.session_began(outcome.session)
    return Judges(guessed, given_keys(ledger), _ran(outcome), begun)


def _ran(outcome: Outcome) -> tuple[str, ...]:
    """Return the evaluators that have run without an error on everything; none if this run saw a part only."""
    scope = outcome.scope
    rows = outcome.planned()
    if scope.limit or scope.splits or any(row.state is not ItemState.VISIBLE for row in rows):
        return ()
    names = set(outcome.config.spec.evaluator_names)
    for row in rows:
        # What the plan found complete lacked none of them.
        if (row.example_id, row.repetition) not in outcome.plan.complete:
            names &= {each.name for each in row.evaluated if each.error is None} | _kept(row, names)
    return tuple(sorted(names))


def _kept(row: ItemRow, names: set[str]) -> set[str]:
    """Return the evaluators that a run which was only scored did not lack."""
    return names - set(row.scoring["evaluators"]) if row.scoring is not None else set()


def _remove_untrue(client: Client, outcome: Outcome, rows: list[ItemRow]) -> None:
    todo = {**outcome.plan.stale, **{key: each for key, (_, each) in outcome.plan.score.items()}}
    there = [row for row in rows if row.state is ItemState.VISIBLE]
    left = remove(client, untrue(there, todo)) if todo and not outcome.silence else 0
    if left:
        outcome.findings.append(findings.error_records_left(left))


def _let_go(context: RunContext) -> None:
    for path in context.folder.boards.glob("*.board"):
        path.unlink()
    if context.error_runs.busy or context.relay.busy:
        return
    items = {row.item: row.token for row in context.ledger.items() if row.state in IN_SPOOL}
    loose = {
        place for place, state in context.ledger.loose.states().items() if state is not LooseState.VISIBLE
    }
    for path in context.folder.spool.glob("*.spool"):
        if not (items or loose) or not _owes(path, items, loose):
            path.unlink()


def _owes(path: Path, items: dict[int, int], loose: set[tuple[str, int]]) -> bool:
    """Whether a spool holds something that has not arrived; one that cannot be read is kept for whoever can."""
    try:
        spool = read(path)
    except SpoolError:
        return True
    leases = (item_of(entry.header) or opening_of(entry.header) for entry in spool.entries)
    return bool(
        spool.damaged
        or any(lease is not None and items.get(lease[0]) == lease[1] for lease in leases)
        or any((stem_of(path), entry.seq) in loose for entry in spool.entries)
    )
