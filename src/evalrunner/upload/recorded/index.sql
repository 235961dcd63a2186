CREATE TABLE IF NOT EXISTS runs (
    n INTEGER PRIMARY KEY,
    file INTEGER NOT NULL, line INTEGER, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    id TEXT, trace TEXT, parent TEXT, start INTEGER, finish INTEGER, scores INTEGER, fault TEXT,
    twin INTEGER,  -- the first row of the same id, if it is another
    top INTEGER,   -- the row from which this one is reached through parents
    depth INTEGER,
    tree INTEGER
);
CREATE TABLE IF NOT EXISTS trees (
    n INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    runs INTEGER NOT NULL, size INTEGER NOT NULL,
    start INTEGER, newest INTEGER,
    fault TEXT, culprit INTEGER,
    state INTEGER NOT NULL DEFAULT 0, reason TEXT
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
