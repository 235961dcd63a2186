-- What the pages ask again and again, in memory: one small row per example and per root run of an experiment.
CREATE TABLE plan (
    session    TEXT NOT NULL,
    pos        INTEGER NOT NULL,
    example_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    gone       INTEGER NOT NULL,
    PRIMARY KEY (session, pos)
) WITHOUT ROWID;
CREATE UNIQUE INDEX plan_by_example ON plan (session, example_id);

CREATE TABLE roots (
    session    TEXT NOT NULL,
    id         TEXT NOT NULL,
    example_id TEXT,
    pos        INTEGER,
    start_time TEXT,
    end_time   TEXT,
    latency    REAL,
    failed     INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    why        TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (session, id)
) WITHOUT ROWID;
CREATE INDEX roots_by_pos ON roots (session, pos, start_time);
CREATE INDEX roots_by_kind ON roots (session, kind, latency);

CREATE TABLE scores (
    session TEXT NOT NULL,
    run_id  TEXT NOT NULL,
    key     TEXT NOT NULL,
    pos     INTEGER,  -- of runs that count
    score   REAL,
    value   TEXT,
    PRIMARY KEY (session, run_id, key)
) WITHOUT ROWID;
CREATE INDEX scores_by_key ON scores (session, key, score, value, pos) WHERE pos IS NOT NULL;

-- What evaluators raised, as they are filed: a feedback that is an error and no score.
CREATE TABLE judge_errors (
    session TEXT NOT NULL,
    run_id  TEXT NOT NULL,
    key     TEXT NOT NULL,
    pos     INTEGER,  -- of runs that count
    text    TEXT NOT NULL
);
CREATE INDEX judge_errors_by_run ON judge_errors (session, run_id);

CREATE TABLE items (
    session TEXT NOT NULL,
    pos     INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    failed  INTEGER NOT NULL,
    extra   INTEGER NOT NULL,
    ends    INTEGER NOT NULL,  -- runs without their beginning
    latency REAL,
    slowest REAL,
    last    TEXT,
    PRIMARY KEY (session, pos)
) WITHOUT ROWID;
CREATE INDEX items_by_time ON items (session, last);
CREATE INDEX items_by_latency ON items (session, slowest);

CREATE TABLE item_scores (
    session TEXT NOT NULL,
    key     TEXT NOT NULL,
    pos     INTEGER NOT NULL,
    mean    REAL,
    value   TEXT,
    PRIMARY KEY (session, key, pos)
) WITHOUT ROWID;
CREATE INDEX item_scores_by_pos ON item_scores (session, pos);

CREATE TABLE summaries (session TEXT NOT NULL, key TEXT NOT NULL, score REAL, value TEXT);
CREATE INDEX summaries_by_session ON summaries (session);

-- The runs and items that a change touches.
CREATE TABLE touched (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE affected (pos INTEGER PRIMARY KEY);

-- The examples of the two experiments that were compared last.
CREATE TABLE pairs (
    of TEXT NOT NULL, pos INTEGER, example_id TEXT NOT NULL, version INTEGER NOT NULL, a REAL, b REAL, delta REAL, way TEXT NOT NULL,
    latency_a REAL, latency_b REAL, failed_a INTEGER NOT NULL, failed_b INTEGER NOT NULL,
    counted_a INTEGER NOT NULL, counted_b INTEGER NOT NULL
);
