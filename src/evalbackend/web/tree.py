"""A trace as a tree with a timeline: also where beginnings of runs were lost, or whole runs.

A run of which only the end arrived is one of the tree. A run of which nothing arrived has a place in it where others
name it as above them: the dotted order of each tells all of those.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

import orjson

from evalbackend.store.functions import in_traces
from evalbackend.web.fill import LATENCY

MOST = 1000  # runs of a trace that a page shows
_DEEP = 100  # runs above another that are shown though they are not here
_LATENCY = LATENCY.format(end="end_time", start="start_time")
_OFFSET = LATENCY.format(end="start_time", start=":start")
_KNOWN = "SELECT id FROM runs WHERE id IN (SELECT value FROM json_each(?)) AND post_n >= 0"


@dataclass(slots=True)
class Node:
    """A run in its tree; `left` and `width` are per cent of the trace's time.

    Attributes:
        posts: how many creates have arrived; None for a run of which nothing has.
    """

    id: str
    parent: str | None
    name: str | None
    run_type: str | None
    status: str
    offset: float
    latency: float | None
    tokens: int | None = None
    posts: int | None = None
    place: str = ""
    depth: int = 0
    left: float = 0.0
    width: float = 0.0
    children: list[Node] = field(default_factory=list)

    @property
    def above(self) -> list[str]:
        """The runs that it hangs below, the root first, as far as it tells them."""
        if self.parent is None:
            return []
        told = [segment[-36:] for segment in self.place.split(".")[:-1]]
        return told[-_DEEP:] if self.parent in told else [self.parent]

    @property
    def opens(self) -> bool:
        """Whether it has a page: of what is not here, the root of the trace has one, and what is just above a run."""
        return (
            self.status != "absent" or self.parent is None or any(c.status != "absent" for c in self.children)
        )


def read_tree(connection: sqlite3.Connection, trace_id: str) -> tuple[list[Node], int, float]:
    """Return the trace's runs in the order of the tree, how many have arrived, and its whole time."""
    scope, named = f"{in_traces(':trace')} AND post_n >= 0", {"trace": trace_id}
    total, start = connection.execute(
        f"SELECT COUNT(*), MIN(start_time) FROM runs WHERE {scope}",  # noqa: S608
        named,
    ).fetchone()
    rows = connection.execute(
        f"SELECT id, parent_run_id, name, run_type, status, COALESCE({_OFFSET}, 0.0), {_LATENCY}, total_tokens, "  # noqa: S608
        f"post_n, COALESCE(dotted_order, '') FROM runs WHERE {scope} ORDER BY start_time, dotted_order LIMIT :most",
        {**named, "start": start, "most": MOST},
    )
    nodes = [Node(*row) for row in rows]
    span = max([node.offset + (node.latency or 0.0) for node in nodes], default=0.0) or 1e-6
    for node in nodes:
        node.left = node.offset / span * 100
        node.width = max(
            ((node.latency if node.latency is not None else span - node.offset) / span) * 100, 0.4
        )
    return _ordered(_with_absent(connection, nodes)), total, span


def _with_absent(connection: sqlite3.Connection, nodes: list[Node]) -> list[Node]:
    """Return the nodes, and before the first that names it each run that is above another and not here."""
    there = {node.id for node in nodes}
    named = {run for node in nodes for run in node.above} - there
    if not named:
        return nodes
    # Of a trace with more runs than are shown, what is named may be among the others.
    there.update(run for (run,) in connection.execute(_KNOWN, (orjson.dumps(sorted(named)).decode(),)))
    found: list[Node] = []
    for node in nodes:
        before: str | None = None
        for run in node.above:
            if run not in there and len(found) < 2 * MOST:
                found.append(Node(run, before, None, None, "absent", node.offset, None))
                there.add(run)
            before = run
        found.append(node)
    return found


def _ordered(nodes: list[Node]) -> list[Node]:
    """Return the nodes parents first; a run whose parent is not among them stands at the top level."""
    by_id = {node.id: node for node in nodes}
    tops: list[Node] = []
    for node in nodes:
        parent = by_id.get(node.parent or "")
        (parent.children if parent is not None and parent is not node else tops).append(node)
    found: list[Node] = []
    waiting = [(node, 0) for node in reversed(tops)]
    while waiting:
        node, node.depth = waiting.pop()
        found.append(node)
        waiting += [(child, node.depth + 1) for child in reversed(node.children)]
    reached = {node.id for node in found}
    return found + [node for node in nodes if node.id not in reached]  # each above the other, in a circle
