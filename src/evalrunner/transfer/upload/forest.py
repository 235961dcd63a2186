"""From runs to traces: who belongs to whom, and which traces are broken and why.

A trace is whole or not at all: one run that cannot be uploaded keeps its trace back, with the reason, and no
other. Traces are told by what the file calls them, or, where it does not, by their root.
"""

from __future__ import annotations

import sqlite3

from evalrunner.transfer.upload.orderly import place_orderly

#: Runs of a trace that the service takes (docs: observability concepts).
MOST_RUNS = 25_000

_BY_ID = "CREATE INDEX IF NOT EXISTS runs_by_id ON runs (id)"
_TWINS = """
UPDATE runs SET twin = first.n
  FROM (SELECT id, min(n) AS n FROM runs WHERE id IS NOT NULL GROUP BY id HAVING count(*) > 1) AS first
 WHERE runs.id = first.id AND runs.n <> first.n;
"""
#: From whoever has no parent, or one that is not there. A twin is nobody's parent: chains of them would multiply.
#: `above` is the parent's row; most files have parents before children, so that most are found at their first look.
_DOWN = """
CREATE TEMP TABLE linked (n INTEGER PRIMARY KEY, above INTEGER);
INSERT INTO linked
SELECT r.n, (SELECT p.n FROM runs AS p WHERE p.id = r.parent AND p.twin IS NULL) FROM runs AS r WHERE r.twin IS NULL;
CREATE INDEX temp.linked_above ON linked (above) WHERE above IS NOT NULL;
CREATE TEMP TABLE reached (n INTEGER PRIMARY KEY, top INTEGER NOT NULL, depth INTEGER NOT NULL);
INSERT INTO reached
WITH RECURSIVE down (n, top, depth) AS (
    SELECT n, n, 0 FROM linked WHERE above IS NULL
    UNION ALL
    SELECT linked.n, down.top, down.depth + 1 FROM down JOIN linked ON linked.above = down.n
)
SELECT n, top, depth FROM down;
"""
_TREES = """
CREATE TEMP TABLE tops (n INTEGER PRIMARY KEY, key TEXT NOT NULL);
INSERT INTO tops
SELECT n, coalesce(trace, id, 'element ' || n) FROM runs WHERE n IN (SELECT DISTINCT top FROM reached);
CREATE TEMP TABLE keys (n INTEGER PRIMARY KEY, key TEXT NOT NULL);
INSERT INTO keys
SELECT r.n, coalesce(r.trace, p.key, f.key) FROM runs AS r
  JOIN reached AS first ON first.n = r.twin JOIN tops AS f ON f.n = first.top
  LEFT JOIN runs AS parent ON parent.id = r.parent AND parent.twin IS NULL
  LEFT JOIN reached AS above ON above.n = parent.n LEFT JOIN tops AS p ON p.n = above.top
 WHERE r.twin IS NOT NULL;
INSERT INTO reached SELECT n, n, 1 FROM keys;
INSERT INTO tops SELECT n, key FROM keys;
INSERT INTO trees (key, runs, size, start, newest)
SELECT tops.key, count(*), sum(r.length), coalesce(min(r.start), 0), max(coalesce(r.finish, r.start, 0))
  FROM reached JOIN runs AS r USING (n) JOIN tops ON tops.n = reached.top GROUP BY tops.key ORDER BY min(r.n);
INSERT INTO placed
SELECT trees.n, reached.depth, coalesce(r.start, 0), r.n
  FROM reached JOIN runs AS r USING (n) JOIN tops ON tops.n = reached.top JOIN trees ON trees.key = tops.key;
DROP TABLE keys; DROP TABLE tops; DROP TABLE reached; DROP TABLE linked;
"""
#: What is wrong with a trace: (tree, row, words), worst first. {size} and {most} are the service's.
_FAULTS = (
    "SELECT tree, n, fault FROM runs JOIN placed USING (n) WHERE fault IS NOT NULL",
    "SELECT tree, n, 'the id ' || quote(id) || ' occurs twice'"
    " FROM runs JOIN placed USING (n) WHERE twin IS NOT NULL",
    "SELECT placed.tree, first.n, 'the id ' || quote(first.id) || ' occurs twice' FROM runs AS r"
    " JOIN runs AS first ON first.n = r.twin JOIN placed ON placed.n = first.n WHERE r.twin IS NOT NULL",
    "SELECT tree, n, 'its parents go round in a circle: ' || quote(parent) || ' leads back to it'"
    " FROM placed JOIN runs USING (n) WHERE depth = -1",
    "SELECT tree, n, 'the parent ' || quote(parent) || ' of run ' || quote(id) || ' is not in the input'"
    " FROM placed JOIN runs USING (n) WHERE depth = 0 AND parent IS NOT NULL",
    "SELECT tree, max(n), 'it has ' || count(*) || ' roots' FROM placed JOIN runs USING (n)"
    " WHERE depth = 0 AND parent IS NULL GROUP BY tree HAVING count(*) > 1",
    "SELECT tree, r.n, 'run ' || quote(r.id) || ' says that it is of trace ' || quote(r.trace)"
    " || ', and its parent is of trace ' || quote(t.key)"
    " FROM placed JOIN runs AS r USING (n) JOIN trees AS t ON t.n = tree"
    " WHERE depth > 0 AND r.trace IS NOT NULL AND r.trace <> t.key",
    "SELECT other.n, r.n, 'run ' || quote(r.id) || ' says that it is of this trace, and its parent is of trace '"
    " || quote(t.key) FROM placed JOIN runs AS r USING (n) JOIN trees AS t ON t.n = tree"
    " JOIN trees AS other ON other.key = r.trace"
    " WHERE depth > 0 AND r.trace IS NOT NULL AND r.trace <> t.key",
    "SELECT n, NULL, 'it has ' || runs || ' runs, and a service takes {most} of a trace' FROM trees"
    " WHERE runs > {most}",
    "SELECT tree, n, 'run ' || quote(id) || ' has ' || length || ' bytes, and the service takes {size} at once'"
    " FROM placed JOIN runs USING (n) WHERE length > {size}",
)


def resolve(db: sqlite3.Connection, size_limit: int, *, orderly: bool = True) -> None:
    """Tell every run its trace, and every trace its fault, if it has one.

    Args:
        size_limit: bytes that the service takes in one request.
        orderly: the runs of a trace may stand together, so that it is worth a look.
    """
    db.execute(_BY_ID)
    if not orderly or not place_orderly(db, size_limit, MOST_RUNS):
        _resolve(db, size_limit)
    db.commit()


def _resolve(db: sqlite3.Connection, size_limit: int) -> None:
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
    left = dict(db.execute("SELECT n, above FROM linked WHERE n NOT IN (SELECT n FROM reached)"))
    tops = _tops(left)
    db.executemany(
        "INSERT INTO reached VALUES (?, ?, ?)", [(n, top, -1 if top == n else 1) for n, top in tops.items()]
    )


def _tops(parent: dict[int, int]) -> dict[int, int]:
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
            circle = steps[steps.index(at) :]
            known |= dict.fromkeys(circle, min(circle))
        for one in path:
            known.setdefault(one, known[at])
    return known
