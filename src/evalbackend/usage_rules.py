"""Which of the usage that runs tell counts, as SQL over the runs table: each call of a model once.

A chain often hands on in its outputs what its model has used, and a wrapper tells once more what the client
that it wraps tells. What the hosted service makes of that is not known; here:

- tokens count where a model is called (run types llm and embedding). Any other run's are a repetition if runs
  below it tell some, and count only if none does;
- a model's own are a repetition if a model right below it tells the very same;
- costs go by the same rule, each by itself; but a run that tells costs and no tokens (a tool that is paid for)
  tells of something of its own.
"""

from __future__ import annotations

from decimal import Decimal

COUNTS = ("total_tokens", "prompt_tokens", "completion_tokens")
COSTS = ("total_cost", "prompt_cost", "completion_cost")
USAGE = (*COUNTS, *COSTS)
_CALLS = "('llm', 'embedding')"


def plain(cost: Decimal) -> str:
    """Return a sum of money as the wire has it: no exponent, no zeros behind."""
    return format(cost.normalize(), "f")


def tells(runs: str) -> str:
    """Return the condition that a run tells usage: that of the index usage_by_trace, or SQLite would not use it."""
    names = ("total_tokens", "prompt_tokens", "completion_tokens", *COSTS, "first_token_time")
    return f"COALESCE({', '.join(f'{runs}.{name}' for name in names)}) IS NOT NULL"


def counted(runs: str, name: str) -> str:
    """Return the SQL of how much of a run's own `name` counts; null where none does."""
    return (
        f"CASE WHEN {_repeated(runs, COUNTS if name in COUNTS else COSTS)} THEN NULL ELSE {runs}.{name} END"
    )


def subtree_sum(name: str) -> str:
    """Return the SQL of what a row of `runs` shows: what counts of it and of all its descendants."""
    value, own = counted("part", name), f"runs.{name}"
    if name in COSTS:
        value, own = f"CAST({value} AS REAL)", f"CAST({own} AS REAL)"
    # A run without a place in its trace (its parents are not known) stands for itself.
    return (
        f"COALESCE((SELECT ROUND(SUM({value}), 12) FROM runs part WHERE part.trace_id = runs.trace_id "  # noqa: S608
        "AND part.dotted_order >= runs.dotted_order AND part.dotted_order < runs.dotted_order || '/' "
        f"AND part.post_n > 0 AND {tells('part')}), {own})"
    )


def _repeated(runs: str, names: tuple[str, ...]) -> str:
    some = f"COALESCE({', '.join(f'below.{name}' for name in names)}) IS NOT NULL AND below.post_n > 0"
    same = " AND ".join(f"below.{name} IS {runs}.{name}" for name in COUNTS)
    # '.' comes right before '/' in ASCII: what lies between is what begins with this run's place and a dot.
    under = (
        f"EXISTS (SELECT 1 FROM runs below WHERE below.trace_id = {runs}.trace_id AND "  # noqa: S608
        f"below.dotted_order > {runs}.dotted_order || '.' AND below.dotted_order < {runs}.dotted_order || '/' "
        f"AND {tells('below')} AND {some})"
    )
    beside = (
        f"EXISTS (SELECT 1 FROM runs below WHERE below.parent_run_id = {runs}.id AND below.run_type IN {_CALLS} "  # noqa: S608
        f"AND {some} AND {same})"
    )
    told = f"COALESCE({', '.join(f'{runs}.{name}' for name in COUNTS)}) IS NOT NULL"
    return f"({told} AND CASE WHEN {runs}.run_type IN {_CALLS} THEN {beside} ELSE {under} END)"
