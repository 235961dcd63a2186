"""The judgment that a run begins with: what is to be done, in which order, by which rules."""

from __future__ import annotations

from evalrunner.config import RunConfig
from evalrunner.ledger.ledger import Ledger
from evalrunner.supervisor.core.items import Item
from evalrunner.supervisor.core.policy import Policy
from evalrunner.supervisor.core.state import SupervisorState
from evalrunner.supervisor.setup.plan import Plan
from evalrunner.supervisor.setup.walltime import TimeLeft, last_words


def make_state(config: RunConfig, ledger: Ledger, plan: Plan, job: TimeLeft | None) -> SupervisorState:
    """Return it; tokens go on where the ledger's end."""
    return SupervisorState(
        _missing(ledger, plan), _policy(config, job), first_token=ledger.highest_token() + 1
    )


def _missing(ledger: Ledger, plan: Plan) -> list[tuple[int, Item]]:
    """Return what is to be executed, in the plan's order, and then what is only to be scored.

    Not the ledger's rows, of 700 bytes each.
    """
    places = {key: place for place, key in enumerate([*plan.missing, *plan.score])}
    rows = (row for row in ledger.items() if (row.example_id, row.repetition) in places)
    found = [
        (
            places[row.example_id, row.repetition],
            (row.item, Item(row.state, row.attempt, row.token, score=row.scoring is not None)),
        )
        for row in rows
    ]
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def _policy(config: RunConfig, job: TimeLeft | None) -> Policy:
    ends = {} if job is None else {"items_end": job.items_end, "assumed": job.assumed}
    return Policy(
        config.workers,
        config.max_attempts,
        config.worker.item_timeout,
        setup_timeout=config.setup_timeout,
        end_timeout=180.0 + 2 * config.worker.grace,
        stop_timeout=config.drain_timeout - last_words(config.drain_timeout),
        **ends,
    )
