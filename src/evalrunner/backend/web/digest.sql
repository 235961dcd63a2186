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
CREATE INDEX roots_by_kind ON roots (session, kind, start_time);

CREATE TABLE scores (
    session TEXT NOT NULL,
    run_id  TEXT NOT NULL,
    key     TEXT NOT NULL,
    score   REAL,
    value   TEXT,
    PRIMARY KEY (session, run_id, key)
) WITHOUT ROWID;

CREATE TABLE items (
    session  TEXT NOT NULL,
    pos      INTEGER NOT NULL,
    counted  INTEGER NOT NULL,
    pending  INTEGER NOT NULL,
    missing  INTEGER NOT NULL,
    failed   INTEGER NOT NULL,
    extra    INTEGER NOT NULL,
    latency  REAL,
    slowest  REAL,
    PRIMARY KEY (session, pos)
) WITHOUT ROWID;

CREATE TABLE item_scores (
    session TEXT NOT NULL,
    key     TEXT NOT NULL,
    pos     INTEGER NOT NULL,
    mean    REAL,
    PRIMARY KEY (session, key, pos)
) WITHOUT ROWID;

CREATE TABLE summaries (session TEXT NOT NULL, key TEXT NOT NULL, score REAL, value TEXT);
CREATE INDEX summaries_by_session ON summaries (session);
