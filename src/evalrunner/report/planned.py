"""What a plan says: what would be evaluated with what, by whom, and what is missing for which reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evalrunner.config import RunConfig
from evalrunner.report.lines import Line, labelled
from evalrunner.verify.facts import Need, Planned

#: One item, several items.
_WORDS: dict[Need, tuple[str, str]] = {
    Need.RUN: ("has no run", "have no run"),
    Need.RUN_AGAIN: ("ended in an error, and is run again", "ended in an error, and are run again"),
    Need.WHOLE_TRACE: ("lacks a part of its trace", "lack parts of their traces"),
    Need.SCORES: ("lacks scores: it is scored, not executed", "lack scores: they are scored, not executed"),
    Need.REFUSED: (
        "was refused in part, and is left as it is",
        "were refused in part, and are left as they are",
    ),
    Need.UNREADABLE: ("has scores that cannot be read", "have scores that cannot be read"),
    Need.FAILED: ("ended in an error (not run again: --retry-errors)",) * 2,
    Need.NOTHING: ("is complete", "are complete"),
}


def planned(config: RunConfig, plan: Planned) -> dict[str, Any]:
    """Return what the receipt's plan has beyond its counts, for `--plan`."""
    checked = plan.checked
    assert checked is not None, "a plan has looked at the target"
    return {
        "target": config.spec.target,
        "factory": config.spec.factory,
        "evaluators": list(config.spec.evaluators) or list(checked.evaluators),
        "feedback_keys": sorted({key for keys in checked.evaluators.values() for key in keys}),
        "summary_evaluators": list(config.spec.summary_evaluators),
        "workers": config.workers,
        "max_concurrency": checked.concurrency or None,
        "splits": list(plan.splits),
        "limit": plan.limit,
        "why": [
            {"items": plan.needs[need], "what": words[plan.needs[need] > 1]}
            for need, words in _WORDS.items()
            if plan.needs[need]
        ],
    }


def only_planned(plan: dict[str, Any]) -> bool:
    """Tell whether a receipt's plan is all that there is: nothing was to be executed."""
    return "why" in plan


def planned_lines(plan: dict[str, Any], width: int) -> Iterator[Line]:
    """Yield it for people; nothing for a receipt that is no plan."""
    if not only_planned(plan):
        return
    built = "  (built once per worker)" if plan["factory"] else ""
    yield from labelled("target", [(plan["target"] or "of this script") + built], width)
    yield from labelled("evaluators", plan["evaluators"] or ["none"], width)
    yield from labelled("at the end", plan["summary_evaluators"], width)
    yield from labelled("workers", [_workers(plan)], width)
    splits = ", ".join(plan["splits"]) or "all"
    limit = f"the first {plan['limit']} examples only" if plan["limit"] else ""
    yield from labelled("splits", [splits, limit], width)
    for place, one in enumerate(plan["why"]):
        yield from labelled("" if place else "items", [f"{one['items']} {one['what']}"], width)


def _workers(plan: dict[str, Any]) -> str:
    number = f"{plan['workers']} process{'es' if plan['workers'] > 1 else ''}"
    at_once = plan["max_concurrency"]
    if at_once is None:
        return f"{number}; 1 item at a time in each if the target is sync, else 8"
    return f"{number}; {at_once} item{'s' if at_once > 1 else ''} at {'once' if at_once > 1 else 'a time'} in each"
