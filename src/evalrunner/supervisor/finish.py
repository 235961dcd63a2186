"""When everything is executed: the experiment's metadata, the summary evaluators, what can be let go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from langsmith import Client

from evalrunner.engines.base import Engine
from evalrunner.protocol.lease import IN_SPOOL, ItemState
from evalrunner.supervisor.experiment import write_facts
from evalrunner.supervisor.parts import Parts
from evalrunner.supervisor.summarise import summarise

if TYPE_CHECKING:
    from evalrunner.supervisor.session import Outcome


def finish(
    parts: Parts, client: Client, engine: Engine, outcome: Outcome, stop_asked: Callable[[], int]
) -> None:
    """Write the metadata once, run the summary evaluators once, remove spools that are not needed.

    An outage here costs a warning and no result: the next run of the command does it again.
    """
    keys: list[str] = parts.ledger.get_meta("evaluator_keys") or []
    try:
        write_facts(client, outcome.scope, outcome.reading, keys)
    except Exception as error:
        outcome.warnings.append(f"the experiment's metadata could not be written ({type(error).__name__})")
    _let_go(parts)
    if not (parts.config.spec.summary_evaluators or parts.config.spec.pickled):
        return
    rows = outcome.planned()
    if outcome.stopped or any(row.state is not ItemState.VISIBLE for row in rows):
        if parts.config.spec.summary_evaluators:
            outcome.warnings.append("the summary evaluators wait until the experiment is complete")
        return
    runs = {row.run_id: row.example_id for row in rows if row.run_id}
    try:
        outcome.summary = summarise(parts, client, engine, outcome.readback, runs, stop_asked)
    except Exception as error:
        outcome.warnings.append(f"the summary evaluators could not be run ({type(error).__name__}: {error})")


def _let_go(parts: Parts) -> None:
    for path in parts.folder.boards.glob("*.board"):
        path.unlink()
    if parts.relay.must_keep or any(row.state in IN_SPOOL for row in parts.ledger.items()):
        return
    for path in parts.folder.spool.glob("*.spool"):
        path.unlink()
