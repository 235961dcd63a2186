-- The ledger of one experiment: who holds which item, which attempt, in which book.
-- One writer (the supervisor's loop). A death between two transactions loses no fact that was acted upon:
-- a lease is committed before it is sent, a production before it is believed.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE examples (
    example INTEGER PRIMARY KEY,          -- position in the dataset
    id      TEXT NOT NULL UNIQUE,
    body    BLOB NOT NULL                 -- the example as the service's JSON
);

CREATE TABLE items (
    item       INTEGER PRIMARY KEY,
    example    INTEGER NOT NULL REFERENCES examples,
    repetition INTEGER NOT NULL,
    state      INTEGER NOT NULL,          -- protocol.lease.ItemState
    attempt    INTEGER NOT NULL DEFAULT 0,-- of the run id; raised by every lease
    token      INTEGER NOT NULL DEFAULT 0,-- fencing: the lease that counts
    deaths     INTEGER NOT NULL DEFAULT 0,-- workers that died while they executed it
    session    INTEGER NOT NULL DEFAULT 0,-- the run of the command that last took it up
    worker     INTEGER,                   -- who made what counts
    run_id     TEXT,                      -- root run of the attempt that counts
    runs       TEXT,                      -- JSON: ids of its trace, root first
    others     TEXT,                      -- JSON: ids of its runs in other projects
    feedback   TEXT,                      -- JSON: ids of its scores
    error      TEXT,                      -- the target's, one line
    reason     TEXT,                      -- why not delivered, not visible, failed
    warnings   TEXT,                      -- JSON
    seconds    REAL,
    scoring    TEXT,                      -- JSON: it has a run and is only to be scored: verify.lacking.Scoring
    evaluated  TEXT,                      -- JSON: protocol.evaluated.Evaluated of each evaluator
    UNIQUE (example, repetition)
);

CREATE TABLE workers (
    worker      INTEGER PRIMARY KEY,
    session     INTEGER NOT NULL,
    slot        INTEGER NOT NULL,
    pid         INTEGER NOT NULL,
    create_time REAL NOT NULL,            -- with the pid it names a process for ever
    spool       TEXT NOT NULL,
    ended       TEXT                      -- how, in words; NULL while it may live
);

CREATE TABLE sessions (
    session INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    ended   TEXT,
    restarts INTEGER NOT NULL DEFAULT 0
);

-- What happened, in order: the story of an item is its rows here.
CREATE TABLE events (
    at     REAL NOT NULL,                 -- seconds since the epoch
    item   INTEGER,
    worker INTEGER,
    token  INTEGER,
    what   TEXT NOT NULL
);
CREATE INDEX events_by_item ON events (item);
