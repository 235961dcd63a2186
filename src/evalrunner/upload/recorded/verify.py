"""`--verify content`: everything that runs say is read back and compared with the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from evalrunner.upload.recorded.confirm import together
from evalrunner.upload.recorded.content import FIELDS, differences
from evalrunner.upload.recorded.index import State
from evalrunner.upload.recorded.plan import Plan
from evalrunner.upload.recorded.rewrite import Placed
from evalrunner.upload.recorded.summary import Hole
from evalrunner.upload.recorded.there import Destination

#: Differences of a trace that are said.
_NAMED = 3


def compare(plan: Plan, there: Destination, hole: Callable[[int, str], Hole]) -> Iterator[Hole]:
    """Return the traces that are there, and not as they were sent."""
    for trees in together(plan.index.trees("state = ?", int(State.SEEN))):
        for n, runs in plan.placed(trees).items():
            if found := list(_of(plan, there, runs)):
                more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
                yield hole(n, "; ".join(found[:_NAMED]) + more)


def _of(plan: Plan, there: Destination, runs: list[Placed]) -> Iterator[str]:
    found: dict[str, dict[str, Any]] = there.runs([one.id for one in runs], FIELDS)
    for one in runs:
        run = plan.run(one.row)
        for said in differences(one, run, found.get(one.id, {})):
            yield f"run {one.row.id}: {said}"
