"""From runs to traces: who belongs to whom, and which traces are broken and why.

A trace is whole or not at all: one run that cannot be uploaded keeps its trace back, with the reason, and no
other. Traces are told by what the file calls them, or, where it does not, by their root.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

#: Runs of a trace that the service takes (docs: observability concepts).
MOST_RUNS = 25_000

_TWINS = """
CREATE INDEX IF NOT EXISTS runs_by_id ON runs (id);
CREATE INDEX IF NOT EXISTS runs_by_parent ON runs (parent);
UPDATE runs SET twin = first.n
  FROM (SELECT id, min(n) AS n FROM runs WHERE id IS NOT NULL GROUP BY id HAVING count(*) > 1) AS first
 WHERE runs.id = first.id AND runs.n <> first.n;
"""
#: From whoever has no parent, or one that is not there. A twin is nobody's parent: chains of them would multiply.
_DOWN = """
CREATE TEMP TABLE reached (n INTEGER PRIMARY KEY, top INTEGER, depth INTEGER);
INSERT INTO reached
WITH RECURSIVE down (n, id, top, depth) AS (
    SELECT n, id, n, 0 FROM runs AS r
     WHERE twin IS NULL AND (parent IS NULL OR NOT EXISTS (SELECT 1 FROM runs WHERE id = r.parent))
    UNION ALL
    SELECT r.n, r.id, down.top, down.depth + 1
      FROM down JOIN runs AS r ON r.parent = down.id WHERE r.twin IS NULL
)
SELECT n, top, depth FROM down;
UPDATE runs SET top = reached.top, depth = reached.depth FROM reached WHERE reached.n = runs.n;
DROP TABLE reached;
"""
_TREES = """
CREATE TEMP TABLE keys (n INTEGER PRIMARY KEY, key TEXT);
INSERT INTO keys SELECT r.n, coalesce(t.trace, t.id, 'element ' || t.n) FROM runs AS r JOIN runs AS t ON t.n = r.top;
INSERT INTO keys
SELECT r.n, coalesce(r.trace, p.key, first.key) FROM runs AS r
  JOIN keys AS first ON first.n = r.twin
  LEFT JOIN runs AS parent ON parent.id = r.parent AND parent.twin IS NULL
  LEFT JOIN keys AS p ON p.n = parent.n
 WHERE r.twin IS NOT NULL;
INSERT INTO trees (key, runs, size, start, newest)
SELECT key, count(*), sum(length), coalesce(min(start), 0), max(coalesce(finish, start, 0))
  FROM runs JOIN keys USING (n) GROUP BY key ORDER BY min(n);
UPDATE runs SET tree = trees.n FROM keys JOIN trees USING (key) WHERE keys.n = runs.n;
DROP TABLE keys;
CREATE INDEX IF NOT EXISTS runs_by_tree ON runs (tree);
"""
#: What is wrong with a trace: (tree, row, words), worst first. {size} and {most} are the service's.
_FAULTS = (
    "SELECT tree, min(n), fault FROM runs WHERE fault IS NOT NULL GROUP BY tree",
    "SELECT tree, n, 'the id ' || quote(id) || ' occurs twice' FROM runs WHERE twin IS NOT NULL",
    "SELECT first.tree, first.n, 'the id ' || quote(first.id) || ' occurs twice' FROM runs AS first"
    " JOIN runs AS r ON r.twin = first.n",
    "SELECT tree, n, 'its parents go round in a circle: ' || quote(parent) || ' leads back to it' FROM runs"
    " WHERE depth = -1",
    "SELECT tree, n, 'the parent ' || quote(parent) || ' of run ' || quote(id) || ' is not in the input'"
    " FROM runs WHERE depth = 0 AND parent IS NOT NULL",
    "SELECT tree, max(n), 'it has ' || count(*) || ' roots' FROM runs"
    " WHERE depth = 0 AND parent IS NULL GROUP BY tree HAVING count(*) > 1",
    "SELECT r.tree, r.n, 'run ' || quote(r.id) || ' says that it is of trace ' || quote(r.trace)"
    " || ', and its parent is of trace ' || quote(t.key) FROM runs AS r JOIN trees AS t ON t.n = r.tree"
    " WHERE r.depth > 0 AND r.trace IS NOT NULL AND r.trace <> t.key",
    "SELECT other.n, r.n, 'run ' || quote(r.id) || ' says that it is of this trace, and its parent is of trace '"
    " || quote(t.key) FROM runs AS r JOIN trees AS t ON t.n = r.tree JOIN trees AS other ON other.key = r.trace"
    " WHERE r.depth > 0 AND r.trace IS NOT NULL AND r.trace <> t.key",
    "SELECT n, NULL, 'it has ' || runs || ' runs, and a service takes {most} of a trace' FROM trees"
    " WHERE runs > {most}",
    "SELECT tree, n, 'run ' || quote(id) || ' has ' || length || ' bytes, and the service takes {size} at once'"
    " FROM runs WHERE length > {size}",
)


def resolve(db: sqlite3.Connection, size_limit: int) -> None:
    """Tell every run its trace, and every trace its fault, if it has one.

    Args:
        size_limit: bytes that the service takes in one request.
    """
    with db:
        db.executescript(_TWINS)
        db.executescript(_DOWN)
        _break_circles(db)
        db.executescript(_TREES)
        for query in _FAULTS:
            _blame(db, query.format(most=MOST_RUNS, size=size_limit))


def _blame(db: sqlite3.Connection, query: str) -> None:
    """Give the traces that a query names their fault: the first row's, if they have none yet."""
    db.execute(
        f"WITH found (tree, row, words) AS ({query}),"  # noqa: S608 - constants of this module
        " first AS (SELECT tree, min(row) AS row, words FROM found GROUP BY tree)"
        " UPDATE trees SET fault = first.words, culprit = first.row FROM first"
        " WHERE first.tree = trees.n AND trees.fault IS NULL"
    )


def _break_circles(db: sqlite3.Connection) -> None:
    """Give those who are reached from no top the first row of their circle as one."""
    left = {n: (run, parent) for n, run, parent in db.execute(
        "SELECT n, id, parent FROM runs WHERE top IS NULL AND twin IS NULL"
    )}  # fmt: skip
    by_id = {run: n for n, (run, _) in left.items()}
    tops = dict(_tops({n: by_id[parent] for n, (_, parent) in left.items()}))
    db.executemany(
        "UPDATE runs SET top = ?, depth = ? WHERE n = ?",
        [(top, -1 if top == n else 1, n) for n, top in tops.items()],
    )


def _tops(parent: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Return for each the smallest of the circle to which its parents lead."""
    known: dict[int, int] = {}
    for first in parent:
        path: dict[int, None] = {}
        at = first
        while at not in known and at not in path:
            path[at] = None
            at = parent[at]
        if at not in known:
            steps = list(path)
            known |= dict.fromkeys(steps[steps.index(at) :], min(steps[steps.index(at) :]))
        top = known[at]
        for one in path:
            known.setdefault(one, top)
    yield from known.items()
