"""`--verify content`: everything that runs say is read back and compared with the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from evalrunner.upload.recorded.confirm import together
from evalrunner.upload.recorded.content import FIELDS, differences
from evalrunner.upload.recorded.index import State, Tree
from evalrunner.upload.recorded.plan import Plan
from evalrunner.upload.recorded.summary import Hole
from evalrunner.upload.recorded.there import Destination

#: Differences of a trace that are said.
_NAMED = 3


def compare(plan: Plan, there: Destination, hole: Callable[[int, str], Hole]) -> Iterator[Hole]:
    """Return the traces that are there, and not as they were sent."""
    for some in together(plan.index.trees("state = ?", int(State.SEEN))):
        for tree, _ in some:
            if found := list(_of(plan, there, tree)):
                more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
                yield hole(tree.n, "; ".join(found[:_NAMED]) + more)


def _of(plan: Plan, there: Destination, tree: Tree) -> Iterator[str]:
    placed = plan.placed(tree)
    found: dict[str, dict[str, Any]] = there.runs([str(one.id) for one in placed], FIELDS)
    for one in placed:
        run = plan.run(one.row)
        for said in differences(one, run, found.get(str(one.id), {})):
            yield f"run {one.row.id}: {said}"
