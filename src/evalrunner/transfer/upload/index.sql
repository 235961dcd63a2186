CREATE TABLE IF NOT EXISTS runs (
    n INTEGER PRIMARY KEY,
    file INTEGER NOT NULL, line INTEGER, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    id TEXT, trace TEXT, parent TEXT, start INTEGER, finish INTEGER, scores INTEGER, fault TEXT, example INTEGER,
    twin INTEGER  -- the first row of the same id, if it is another
);
-- Which run is of which trace, in the order in which they are sent. depth -1: of a circle, which has no top.
CREATE TABLE IF NOT EXISTS placed (
    tree INTEGER NOT NULL, depth INTEGER NOT NULL, start INTEGER NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (tree, depth, start, n)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trees (
    n INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    runs INTEGER NOT NULL, size INTEGER NOT NULL,
    start INTEGER NOT NULL, newest INTEGER NOT NULL,
    fault TEXT, culprit INTEGER,
    state INTEGER NOT NULL DEFAULT 0, reason TEXT
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
